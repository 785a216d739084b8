"""The pure evaluation of an alarm against the tables of AWS's guide.

Source: CloudWatch user guide, "Configuring how CloudWatch alarms treat missing data" (both tables and "Avoiding
premature transitions to alarm state"); the words of the reasons are those of published alarm messages.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from localcloud.cloudwatch.evaluation import ALARM, INSUFFICIENT_DATA, OK, Datapoint, Rule, evaluate

RETAIN = None
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
START = 1_764_000_000  # 24/11/25 16:00:00 UTC


def points(picture: str, period: int = 60) -> list[Datapoint | None]:
    """X is breaching, 0 is not, - is missing; oldest first."""
    values = {"X": 9.0, "0": 1.0}
    return [
        Datapoint(START + place * period, values[mark], 1.0) if mark in values else None
        for place, mark in enumerate(picture.split())
    ]


def a_rule(**overrides: object) -> Rule:
    return Rule(**{"comparison": "GreaterThanThreshold", "threshold": 5.0, "evaluation_periods": 3} | overrides)  # type: ignore[arg-type]


def states(picture: str, datapoints_to_alarm: int, current: str) -> list[str | None]:
    found = [
        evaluate(points(picture), a_rule(datapoints_to_alarm=datapoints_to_alarm, treat_missing=treatment), current)
        for treatment in TREATMENTS
    ]
    return [evaluation.state if evaluation else None for evaluation in found]


@pytest.mark.parametrize("current", [OK, ALARM, INSUFFICIENT_DATA])
@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("0 - X - X", (OK, OK, OK, OK)),
        ("0 - - - -", (OK, OK, OK, OK)),
        ("- - - - -", (INSUFFICIENT_DATA, RETAIN, ALARM, OK)),
        ("0 X X - X", (ALARM, ALARM, ALARM, ALARM)),
        ("- - X - -", (ALARM, RETAIN, ALARM, OK)),
    ],
)
def test_three_of_three_follows_the_guides_table(picture: str, expected: Sequence[str | None], current: str) -> None:
    assert states(picture, 3, current) == list(expected)


@pytest.mark.parametrize("current", [OK, ALARM, INSUFFICIENT_DATA])
@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("0 - X - X", (ALARM, ALARM, ALARM, ALARM)),
        ("0 0 X 0 X", (ALARM, ALARM, ALARM, ALARM)),
        ("0 - X - -", (OK, OK, ALARM, OK)),
        ("- - - - 0", (OK, OK, ALARM, OK)),
        ("- - - X -", (ALARM, RETAIN, ALARM, OK)),
    ],
)
def test_two_of_three_follows_the_guides_table(picture: str, expected: Sequence[str | None], current: str) -> None:
    assert states(picture, 2, current) == list(expected)


@pytest.mark.parametrize("picture", ["- - - - X", "- - - X -"])
def test_a_lone_young_breach_does_not_alarm_yet(picture: str) -> None:
    assert states(picture, 3, OK)[0] is RETAIN


def test_an_old_breach_with_silence_after_it_alarms() -> None:
    assert states("- - X - -", 3, OK)[0] == ALARM


def test_more_periods_are_looked_at_than_are_evaluated() -> None:
    assert a_rule(evaluation_periods=3).evaluation_range == 5


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("GreaterThanOrEqualToThreshold", (False, True, True)),
        ("GreaterThanThreshold", (False, False, True)),
        ("LessThanThreshold", (True, False, False)),
        ("LessThanOrEqualToThreshold", (True, True, False)),
    ],
)
def test_each_comparison_means_what_it_says(comparison: str, breaching: tuple[bool, ...]) -> None:
    rule = a_rule(comparison=comparison)
    assert tuple(rule.is_breaching(value) for value in (4.0, 5.0, 6.0)) == breaching


def test_too_few_samples_for_a_percentile_leave_the_state() -> None:
    rule = a_rule(evaluation_periods=1, samples_needed=1000.0)
    assert evaluate(points("X"), rule, OK) is None


def reason(picture: str, current: str = OK, **overrides: object) -> str:
    found = evaluate(points(picture), a_rule(**overrides), current)
    assert found is not None
    return found.reason


def test_the_reason_of_a_plain_alarm() -> None:
    assert reason("X", evaluation_periods=1) == (
        "Threshold Crossed: 1 datapoint [9.0 (24/11/25 16:00:00)] was greater than the threshold (5.0)."
    )


def test_the_reason_of_m_out_of_n_names_the_minimum() -> None:
    assert reason("X 0 X", datapoints_to_alarm=2) == (
        "Threshold Crossed: 2 out of the last 3 datapoints [9.0 (24/11/25 16:02:00), 9.0 (24/11/25 16:00:00)] were "
        "greater than the threshold (5.0) (minimum 2 datapoints for OK -> ALARM transition)."
    )


def test_the_reason_of_going_back_to_ok() -> None:
    assert reason("0", ALARM, evaluation_periods=1, datapoints_to_alarm=1) == (
        "Threshold Crossed: 1 out of the last 1 datapoints [1.0 (24/11/25 16:00:00)] was not greater than the "
        "threshold (5.0) (minimum 1 datapoint for ALARM -> OK transition)."
    )


def test_the_reason_tells_how_missing_points_were_treated() -> None:
    assert reason("- - -", evaluation_periods=1, treat_missing="notBreaching") == (
        "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as "
        "[NonBreaching]."
    )
    assert reason("- - - 0", evaluation_periods=2, treat_missing="breaching") == (
        "Threshold Crossed: 1 datapoint [1.0 (24/11/25 16:03:00)] was not greater than the threshold (5.0) and 1 "
        "missing datapoint was treated as [Breaching]."
    )


def test_the_reason_of_silence() -> None:
    assert reason("- - - - -") == "Insufficient Data: 3 datapoints were unknown."
