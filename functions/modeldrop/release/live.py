"""What is live on an endpoint, and which good releases are kept beside it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

# beyond the 100 that a policy may retain, for releases whose deletion failed and is tried again
MAX_RETAINED = 110


@dataclass(frozen=True)
class Live:
    """The `#live` row; empty where nothing is known.

    live, previous: the live release and the good one before it. name: the endpoint's, in its own case. retained: good
    releases whose model and config are kept, newest first, the live one included. fence: of the last write.
    """

    live: str = ""
    previous: str = ""
    name: str = ""
    retained: tuple[str, ...] = ()
    fence: int = 0

    def keeps(self, release: str) -> bool:
        """Say whether a release may still be needed to serve or to go back to."""
        return release in (self.live, self.previous, *self.retained)

    def without(self, releases: Collection[str]) -> Live:
        """Return the same without these among the retained."""
        return replace(self, retained=tuple(one for one in self.retained if one not in releases))


def promoted(seen: Live, release: str, name: str, fence: int) -> Live:
    """Make a release the live one; the one before it becomes the previous good one. Twice is as good as once."""
    if seen.live == release:
        return replace(seen, fence=fence)
    others = seen.retained or tuple(one for one in (seen.live, seen.previous) if one)
    retained = (release, *(one for one in others if one != release))[:MAX_RETAINED]
    return Live(release, seen.live or seen.previous, name, retained, fence)
