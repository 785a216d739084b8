"""Every error the state machine may name; the family decides what the workflow does with it.

RejectedError: the user's input is refused, never retried. TransientError: AWS will probably answer next time, retried.
ParkedError: no capacity or quota now, the old model is untouched. SupersededError: a newer release took the place.
AbortedError: an operator said so. Everything else is a defect and goes to Compensate.
Step Functions matches the exact class name, so a new class must also be named in statemachine/release.asl.json.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

# of a rejection: the release record (400 KB) keeps them twice, and a message shows them
MAX_PROBLEMS = 20
MAX_PROBLEM_CHARACTERS = 600
# of any error: it passes through the state machine, whose payload is 256 KB, and into the record
MAX_TEXT_CHARACTERS = 4_000


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


def _bounded(problem: Problem) -> Problem:
    what, where, fix = (_cut(text, MAX_PROBLEM_CHARACTERS) for text in (problem.what, problem.where, problem.fix))
    return Problem(problem.code, what, where, fix)


def _cut(text: str, at_most: int) -> str:
    """Cut to so many characters, fewer where JSON would write most of them as six or twelve."""
    kept = text if len(text) <= at_most else text[: at_most - 3]
    while len(json.dumps(kept)) > 2 * at_most:
        kept = kept[: len(kept) // 2]
    return text if kept == text else f"{kept}..."


class ModeldropError(Exception):
    """Root of what modeldrop raises on purpose. Its text is bounded, whatever it was made from."""

    def __str__(self) -> str:
        return _cut(super().__str__(), MAX_TEXT_CHARACTERS)


class RejectedError(ModeldropError):
    """The artifact, the policy or the key is refused; carries the first problems, and how many more there are."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        if not problems:
            raise ValueError("a rejection needs at least one problem")
        more = len(problems) - MAX_PROBLEMS
        rest = [Problem("MORE_PROBLEMS", f"and {more} more", fix="Mend these first.")] if more > 0 else []
        self.problems = (*map(_bounded, problems[:MAX_PROBLEMS]), *rest)
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
