"""How far the one pass over an artifact is, as figures for the record and as words for a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

EVERY_SECONDS = 5.0


def progress_text(progress: Mapping[str, Any]) -> str:
    """Say `1.2 of 2.0 GB, 310 MB/s, 3 s left` of {read_bytes, size_bytes, seconds}; what is not known is left out."""
    read, size, seconds = (float(progress.get(name) or 0) for name in ("read_bytes", "size_bytes", "seconds"))
    unit, name = (1e9, "GB") if size >= 1e9 else (1e6, "MB")
    words = [f"{read / unit:.1f} of {size / unit:.1f} {name}" if size else f"{read / unit:.1f} {name}"]
    if read and seconds:
        words.append(f"{read / seconds / 1e6:.0f} MB/s")
        if size:
            words.append(f"{max(0.0, size - read) * seconds / read:.0f} s left")
    return ", ".join(words)


class ProgressReporter:
    """Turns the many calls of inspect_artifact's `progress` into few of `report`, which gets what progress_text reads.

    elapsed: seconds since the start. The first report comes after `every_seconds`: what is quicker needs none.
    """

    def __init__(
        self,
        size_bytes: int,
        elapsed: Callable[[], float],
        report: Callable[[dict[str, Any]], None],
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._size_bytes = size_bytes
        self._elapsed = elapsed
        self._report = report
        self._every_seconds = every_seconds
        self._next = every_seconds

    def __call__(self, read_bytes: int) -> None:
        """Take note of the compressed bytes used so far."""
        seconds = self._elapsed()
        if seconds < self._next:
            return
        self._next = seconds + self._every_seconds
        self._report({"read_bytes": read_bytes, "size_bytes": self._size_bytes, "seconds": round(seconds, 1)})
