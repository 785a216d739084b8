"""Every error the state machine may name; the family decides what the workflow does with it.

RejectedError: the user's input is refused, never retried. TransientError: AWS will probably answer next time, retried.
ParkedError: no capacity or quota now, the old model is untouched. SupersededError: a newer release took the place.
AbortedError: an operator said so. Everything else is a defect and goes to Compensate.
Step Functions matches the exact class name, so a new class must also be named in statemachine/release.asl.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with what a user gave us, said so that it can be put right.

    code: stable, upper snake case (`TAR_LINK`). what: the fact, with its numbers. where: member, field or key.
    fix: what to do next.
    """

    code: str
    what: str
    where: str = ""
    fix: str = ""

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        remedy = f" {self.fix}" if self.fix else ""
        return f"{self.code}: {self.what}{place}.{remedy}"


class ModeldropError(Exception):
    """Root of what modeldrop raises on purpose."""


class RejectedError(ModeldropError):
    """The artifact, the policy or the key is refused; carries every problem found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        if not problems:
            raise ValueError("a rejection needs at least one problem")
        self.problems = tuple(problems)
        super().__init__(" ".join(str(problem) for problem in self.problems))


class ArtifactRejectedError(RejectedError):
    """model.tar.gz would not load, or is not safe to load."""


class PolicyRejectedError(RejectedError):
    """rollout.yaml is malformed, out of range, or asks for a rollout that cannot work."""


class RehearsalRejectedError(RejectedError):
    """The model did not answer its golden requests on a throw-away endpoint."""


class ParkedError(ModeldropError):
    """No capacity or quota for the new fleet."""


class SupersededError(ModeldropError):
    """A newer release of the same endpoint took this one's place."""


class AbortedError(ModeldropError):
    """An operator, or an approval that was denied or not given in time, ended the release."""


class LeaseLostError(ModeldropError):
    """Another release holds the endpoint's lease: this one must not act any more."""


class TransientError(ModeldropError):
    """AWS throttled, timed out or is not consistent yet; the same call may succeed."""
