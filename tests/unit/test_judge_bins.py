"""bins.jsonl: what is written is what is read."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from modeldrop.judge.bins import Bin, BinFormatError, Counts, bin_from_json, bin_to_json, read_bins

START = datetime(2026, 11, 23, 20, 10, tzinfo=UTC)
LINE = (
    '{"t": "2026-11-23T20:10:00Z", "seconds": 10, "blue": {"requests": 812, "errors": 3, "slow": 12}, '
    '"green": {"requests": 91, "errors": 2, "slow": 1}}'
)


def test_the_designs_line_is_read() -> None:
    assert read_bins([LINE, "", "  \n"]) == [Bin(START, 10, Counts(812, 3, 12), Counts(91, 2, 1))]


@pytest.mark.parametrize(
    "one",
    [
        Bin(START, 10, Counts(812, 3, 12), Counts(91, 2, None), seen_at=START),
        Bin(START, 60, None, None, shift=True),
        Bin(START, 60, Counts(0, 0), None),
    ],
)
def test_a_bin_survives_json(one: Bin) -> None:
    assert bin_from_json(json.loads(json.dumps(bin_to_json(one)))) == one


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"t": "2026-11-23T20:10:00"}, "without a zone"),
        ({"t": "soon"}, "soon"),
        ({"t": None}, "not a time"),
        ({"seconds": 0}, "at least 1 s"),
        ({"seconds": 1.5}, "not a whole number"),
        ({"blue": {"requests": -1, "errors": 0}}, "blue.requests is -1, below zero"),
        ({"blue": {"requests": True, "errors": 0}}, "not a whole number"),
        ({"green": 7}, "not counts"),
        ({"shift": "yes"}, "not true or false"),
    ],
)
def test_a_line_that_is_no_bin_is_named(change: dict[str, object], told: str) -> None:
    broken = json.dumps(json.loads(LINE) | change)
    with pytest.raises(BinFormatError, match="line 2: ") as caught:
        read_bins([LINE, broken])
    assert told in str(caught.value)


def test_a_fleet_that_is_left_out_is_not_silence() -> None:
    line = json.loads(LINE)
    del line["green"]
    with pytest.raises(BinFormatError, match="green is missing"):
        bin_from_json(line)


@pytest.mark.parametrize("text", ["not json", "[]", "7"])
def test_a_line_that_is_no_object_is_named(text: str) -> None:
    with pytest.raises(BinFormatError, match="line 1: "):
        read_bins([text])


def test_the_same_period_twice_is_refused() -> None:
    with pytest.raises(BinFormatError, match="overlap"):
        read_bins([LINE, LINE])


def test_more_errors_than_requests_stay_readable() -> None:
    line = LINE.replace('"errors": 2', '"errors": 99')
    assert read_bins([line])[0].green == Counts(91, 99, 1)
