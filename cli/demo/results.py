"""How the demo went: each drop's outcome against the expected one, what users saw, and what is not as it should be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cli.demo.traffic import TIMEOUT_SECONDS, Seen
from cli.looking import why
from modeldrop.release.record import ReleaseRecord

EXPECTED = {
    "release-1": "created",
    "release-2": "promoted",
    "release-3": "rolled_back",
    "release-4": "rejected",
    "release-5": "rejected",
    "release-6": "rolled_back",
}
# shifts and rollbacks must not be felt; a busy machine leaves holes of seconds too, but none in which callers give up
LONGEST_SILENCE_SECONDS = float(TIMEOUT_SECONDS)
# InvokeEndpoint, ModelError: the container answered, and its answer was an error
MODEL_FAILED = "ModelError"


@dataclass(frozen=True)
class Drop:
    """One model that was dropped. at, until: unix seconds of the upload and of the outcome; canary_requests: None
    where there was no canary.
    """

    name: str
    release: str
    at: float
    until: float
    record: ReleaseRecord
    canary_requests: int | None

    @property
    def seconds(self) -> float:
        """Return seconds from upload to outcome."""
        return self.until - self.at


@dataclass(frozen=True)
class Story:
    """Everything that happened."""

    drops: tuple[Drop, ...]
    seen: Seen
    messages: tuple[str, ...]
    seconds: Mapping[str, float]

    def seen_during(self, drop: Drop) -> Seen:
        """Return what users saw from this drop to the next one."""
        later = [one.at for one in self.drops if one.at > drop.at]
        return self.seen.between(drop.at, min(later, default=float("inf")))

    def problems(self) -> list[str]:
        """Say what is not as it should be."""
        found = []
        for name, expected in EXPECTED.items():
            drop = next((one for one in self.drops if one.name == name), None)
            if drop is None:
                found.append(f"{name} was not dropped")
            elif drop.record.outcome != expected:
                found.append(f"{name} is {drop.record.outcome}, expected {expected}: {why(drop.record)}")
        silence = self.seen.longest_silence_seconds()
        if silence > LONGEST_SILENCE_SECONDS:
            found.append(f"users had no answer for {silence:.1f} s")
        for drop in self.drops:
            failed = self.seen_during(drop).failed
            if EXPECTED[drop.name] != "rolled_back" and failed:
                found.append(f"{len(failed)} requests failed around {drop.name}: {failed[0].failure}")
        others = [one for one in self.seen.failed if not one.failure.startswith(MODEL_FAILED)]
        if others:
            found.append(f"{len(others)} requests failed without the model's doing: {others[0].failure}")
        for drop in self.drops:
            told = [subject for subject in self.messages if drop.record.endpoint in subject]
            if not told:
                found.append(f"no message about {drop.record.endpoint} arrived")
                break
        return found

    def rows(self) -> list[tuple[str, ...]]:
        """Return the closing table's rows."""
        return [
            (
                drop.name,
                drop.record.outcome or "none",
                why(drop.record),
                "-" if drop.canary_requests is None else str(drop.canary_requests),
                str(len(self.seen_during(drop).failed)),
                f"{drop.seconds:.0f}",
            )
            for drop in self.drops
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the story for programs."""
        return {
            "drops": [
                {
                    "name": drop.name,
                    "release": drop.release,
                    "outcome": drop.record.outcome,
                    "expected": EXPECTED[drop.name],
                    "why": why(drop.record),
                    "canary_requests": drop.canary_requests,
                    "failed_requests": len(self.seen_during(drop).failed),
                    "seconds": round(drop.seconds, 1),
                    "dropped_at": datetime.fromtimestamp(drop.at, UTC).isoformat(),
                }
                for drop in self.drops
            ],
            "traffic": {
                "requests": len(self.seen.requests),
                "failed": len(self.seen.failed),
                "failures": Counter(one.failure[:160] for one in self.seen.failed),
                "p50_ms": self.seen.percentile_ms(50),
                "p99_ms": self.seen.percentile_ms(99),
                "longest_silence_seconds": round(self.seen.longest_silence_seconds(), 2)
                if self.seen.requests
                else None,
            },
            "messages": list(self.messages),
            "seconds": {name: round(value, 1) for name, value in self.seconds.items()},
            "problems": self.problems(),
        }
