"""Answers of a period: which class each captured answer of blue and green fell into, and their JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from modeldrop.judge.bins import BinFormatError, moment_in, stamp

# what a class that blue did not have beforehand is counted as
OTHER = "any other"
# classes that are judged one by one; more would each get too small a part of the bet
MAX_CLASSES = 20


@dataclass(frozen=True)
class AnswerBin:
    """Captured answers of one period, counted by class. None: that fleet's answers were not captured at all.

    start: UTC, aware. shift: traffic moved in this period, or a roll back had begun; it is not judged.
    """

    start: datetime
    seconds: int
    blue: Mapping[str, int] | None
    green: Mapping[str, int] | None
    seen_at: datetime | None = None
    shift: bool = False

    @property
    def end(self) -> datetime:
        """When the period was over."""
        return self.start + timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class DriftTerms:
    """What drift is judged with, the same at each look.

    tolerance: by how much a class may be more frequent on green, as a fraction of all answers. shares: blue's classes
    of the time before and their fractions; all others count as OTHER. clump: how many equal answers come together.
    """

    tolerance: float
    shares: Mapping[str, float] = field(default_factory=dict)
    clump: int = 1


def shares_of(counts: Mapping[str, int]) -> dict[str, float]:
    """Return the fractions of the most frequent classes, MAX_CLASSES at most, most frequent first."""
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:MAX_CLASSES]
    return {name: count / total for name, count in ordered} if total else {}


def gathered(counts: Mapping[str, int], terms: DriftTerms) -> dict[str, int]:
    """Return the counts of the classes that are judged one by one, and of all others together."""
    known = {name: count for name, count in counts.items() if name in terms.shares}
    others = sum(counts.values()) - sum(known.values())
    return known | ({OTHER: others} if others else {})


def answer_line(one: AnswerBin) -> str:
    """Return the period as a line of bins.jsonl."""
    line: dict[str, Any] = {"t": stamp(one.start), "seconds": one.seconds}
    if one.seen_at is not None:
        line["seen_at"] = stamp(one.seen_at)
    if one.shift:
        line["shift"] = True
    fleets = {"blue": one.blue, "green": one.green}
    line["answers"] = {name: None if counts is None else dict(counts) for name, counts in fleets.items()}
    return json.dumps(line)


def read_answers(lines: Iterable[str]) -> list[AnswerBin]:
    """Read the answers in bins.jsonl, oldest first, and skip all other lines; BinFormatError names a bad one."""
    found = []
    for number, text in enumerate(lines, start=1):
        if '"answers"' not in text:
            continue
        try:
            line = json.loads(text)
            if isinstance(line, dict) and "answers" in line:
                found.append(_from_json(line))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise BinFormatError(f"line {number}: the answers cannot be read: {error}") from None
    return sorted(found, key=lambda one: one.start)


def drift_terms_to_json(terms: DriftTerms) -> dict[str, Any]:
    """Return the terms as bins.jsonl holds them."""
    return {"tolerance": terms.tolerance, "shares": dict(terms.shares), "clump": terms.clump}


def drift_terms_from_json(data: Mapping[str, Any]) -> DriftTerms:
    """Read what `drift_terms_to_json` wrote; ValueError where a number cannot be."""
    shares = {str(name): float(share) for name, share in data["shares"].items()}
    terms = DriftTerms(float(data["tolerance"]), shares, int(data["clump"]))
    if not 0 < terms.tolerance < 1 or terms.clump < 1 or any(not 0 <= share <= 1 for share in shares.values()):
        raise ValueError("a tolerance lies between 0 and 1, a share too, and a clump is 1 or more")
    return terms


def _from_json(line: Mapping[str, Any]) -> AnswerBin:
    seen = line.get("seen_at")
    seconds = line["seconds"]
    if not isinstance(seconds, int) or seconds < 1:
        raise ValueError(f"seconds is {seconds!r:.40}")
    return AnswerBin(
        start=moment_in(line["t"], "t"),
        seconds=seconds,
        blue=_counts(line["answers"]["blue"]),
        green=_counts(line["answers"]["green"]),
        seen_at=moment_in(seen, "seen_at") if seen else None,
        shift=line.get("shift") is True,
    )


def _counts(found: Mapping[str, Any] | None) -> dict[str, int] | None:
    if found is None:
        return None
    bad = next((one for one in found.values() if isinstance(one, bool) or not isinstance(one, int) or one < 0), None)
    if bad is not None:
        raise ValueError(f"a count is {bad!r:.40}")
    return {str(name): count for name, count in found.items()}
