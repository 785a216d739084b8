"""Bins: what the judge eats, a line a metric period (DESIGN 4.4), and how they are written as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any


class BinFormatError(ValueError):
    """A line is not a bin; the message names the line and the field."""


@dataclass(frozen=True)
class Counts:
    """Requests of one fleet in one bin; `errors` and `slow` are how many of them. `slow` None: not to be had."""

    requests: int
    errors: int
    slow: int | None = None


@dataclass(frozen=True)
class Bin:
    """One closed metric period of blue and green, frozen when it was older than the metric lag.

    start: UTC, aware. blue/green None: that fleet sent no data at all (not the same as zero requests).
    shift: traffic moved in this period, so that its counts compare two different times; it is not judged.
    """

    start: datetime
    seconds: int
    blue: Counts | None
    green: Counts | None
    seen_at: datetime | None = None
    shift: bool = False

    @property
    def end(self) -> datetime:
        """When the period was over."""
        return self.start + timedelta(seconds=self.seconds)


def blue_of(own: Counts | None, whole: Counts | None, green: Counts | None) -> Counts | None:
    """Return blue's counts in one period: its own, or all traffic less green's of that same period.

    Blue has no dimension of its own until the endpoint was updated once. None: there was no data, or green's counts are
    ahead of those of all traffic, so that their difference says nothing of blue.
    """
    if own is not None or whole is None or green is None:
        return own or whole
    if green.requests > whole.requests:
        return None
    slow = None if whole.slow is None or green.slow is None else max(0, whole.slow - green.slow)
    return Counts(whole.requests - green.requests, max(0, whole.errors - green.errors), slow)


def period_start(moment: datetime, period_seconds: int) -> datetime:
    """Return when the metric period began that a moment lies in: periods begin on the clock's multiples."""
    return datetime.fromtimestamp(int(moment.timestamp()) // period_seconds * period_seconds, UTC)


def closed_until(at: datetime, lag_seconds: int, period_seconds: int) -> datetime:
    """Return the end of the newest period whose counts are final: they come up to the metric lag after its end."""
    return period_start(at - timedelta(seconds=lag_seconds), period_seconds)


def bin_to_json(one: Bin) -> dict[str, Any]:
    """Return the bin as one line of bins.jsonl holds it; `seen_at` and `shift` only where they say something."""
    line: dict[str, Any] = {"t": stamp(one.start), "seconds": one.seconds}
    if one.seen_at is not None:
        line["seen_at"] = stamp(one.seen_at)
    if one.shift:
        line["shift"] = True
    return {**line, "blue": _counts_to_json(one.blue), "green": _counts_to_json(one.green)}


def bin_from_json(line: Mapping[str, Any]) -> Bin:
    """Read what `bin_to_json` wrote; BinFormatError says what is missing or impossible."""
    seconds = _whole(line, "seconds")
    if seconds < 1:
        raise BinFormatError(f"seconds is {seconds}; a bin lasts at least 1 s")
    shift = line.get("shift", False)
    if not isinstance(shift, bool):
        raise BinFormatError(f"shift is {shift!r:.40}, not true or false")
    seen = line.get("seen_at")
    return Bin(
        start=moment_in(line.get("t"), "t"),
        seconds=seconds,
        blue=_counts_from_json(line, "blue"),
        green=_counts_from_json(line, "green"),
        seen_at=None if seen is None else moment_in(seen, "seen_at"),
        shift=shift,
    )


def read_bins(lines: Iterable[str]) -> list[Bin]:
    """Read bins.jsonl, oldest bin first; empty lines are nothing.

    BinFormatError names the line that is not a bin, or the bins that overlap. Counts are taken as they are: AWS may
    have given more errors than requests, and what was frozen must be readable.
    """
    bins = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
            if not isinstance(found, dict):
                raise BinFormatError("a bin is a JSON object")
            if "answers" in found:  # a period of captured answers, for judge.answers to read
                continue
            bins.append(bin_from_json(found))
        except ValueError as error:
            raise BinFormatError(f"line {number}: {error}") from None
    bins.sort(key=lambda one: one.start)
    for earlier, later in pairwise(bins):
        if later.start < earlier.end:
            raise BinFormatError(f"the bins at {stamp(earlier.start)} and {stamp(later.start)} overlap")
    return bins


def _counts_to_json(counts: Counts | None) -> dict[str, Any] | None:
    if counts is None:
        return None
    return {"requests": counts.requests, "errors": counts.errors, "slow": counts.slow}


def _counts_from_json(line: Mapping[str, Any], fleet: str) -> Counts | None:
    if fleet not in line:
        raise BinFormatError(f"{fleet} is missing; null says that there was no data")
    found = line[fleet]
    if found is None:
        return None
    if not isinstance(found, dict):
        raise BinFormatError(f"{fleet} is {found!r:.40}, not counts")
    slow = None if found.get("slow") is None else _whole(found, "slow", fleet)
    return Counts(_whole(found, "requests", fleet), _whole(found, "errors", fleet), slow)


def _whole(line: Mapping[str, Any], name: str, fleet: str = "") -> int:
    value, place = line.get(name), f"{fleet}.{name}" if fleet else name
    if isinstance(value, bool) or not isinstance(value, int):
        raise BinFormatError(f"{place} is {value!r:.40}, not a whole number")
    if value < 0:
        raise BinFormatError(f"{place} is {value}, below zero")
    return value


def moment_in(text: Any, name: str) -> datetime:
    """Read the time in field `name` of a line, UTC; BinFormatError names what is none."""
    if not isinstance(text, str):
        raise BinFormatError(f"{name} is {text!r:.40}, not a time")
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise BinFormatError(f"{name} is {text:.40}, a time without a zone")
    return found.astimezone(UTC)


def stamp(moment: datetime) -> str:
    """Write a time as the lines have it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
