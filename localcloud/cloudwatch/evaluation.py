"""What state an alarm is in, given its data points: a pure function, with the words CloudWatch uses to explain it.

Source: "Configuring how CloudWatch alarms treat missing data" and "Alarm evaluation" of the CloudWatch user guide.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
EXTRA_PERIODS = 2  # the guide's examples look back 5 periods where 3 are evaluated

COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True)
class Datapoint:
    """One period's statistic; timestamp is the period's start (unix s)."""

    timestamp: float
    value: float
    sample_count: float | None = None


@dataclass(frozen=True)
class Rule:
    """What of an alarm decides its state. samples_needed: fewer samples than that leave the state as it is."""

    comparison: str
    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int | None = None
    treat_missing: str = "missing"
    samples_needed: float = 0.0

    @property
    def needed(self) -> int:
        """M of "M out of N"."""
        return self.datapoints_to_alarm or self.evaluation_periods

    @property
    def evaluation_range(self) -> int:
        """How many periods are looked at: more than are evaluated, in case some are missing."""
        return self.evaluation_periods + EXTRA_PERIODS

    def is_breaching(self, value: float) -> bool:
        """Return whether a value crosses the threshold."""
        return COMPARISONS[self.comparison][0](value, self.threshold)


@dataclass(frozen=True)
class Evaluation:
    """The state, why, and the data points that decided it (oldest first)."""

    state: str
    reason: str
    evaluated: tuple[Datapoint, ...]


def evaluate(points: Sequence[Datapoint | None], rule: Rule, current: str) -> Evaluation | None:
    """Return the state for an evaluation range, oldest first, None for a missing point; None keeps the current state.

    Real points are used first, also older ones; only what is then still lacking is filled in as the rule says.
    """
    real = [point for point in points if point is not None]
    evaluated = tuple(real[-rule.evaluation_periods :])
    breaching = sum(rule.is_breaching(point.value) for point in evaluated)
    lacking = rule.evaluation_periods - len(evaluated)
    if evaluated and any((point.sample_count or 0) < rule.samples_needed for point in evaluated):
        return None
    if lacking == 0 or rule.treat_missing in ("breaching", "notBreaching"):
        filled = lacking if rule.treat_missing == "breaching" else 0
        state = ALARM if breaching + filled >= rule.needed else OK
        return Evaluation(state, _crossed(rule, state, current, evaluated, lacking), evaluated)
    if not real:
        if rule.treat_missing == "ignore":
            return None
        count = rule.evaluation_periods
        said = "1 datapoint was unknown" if count == 1 else f"{count} datapoints were unknown"
        return Evaluation(INSUFFICIENT_DATA, f"Insufficient Data: {said}.", ())
    return _with_gaps(points, rule, current, evaluated, breaching)


def _with_gaps(
    points: Sequence[Datapoint | None], rule: Rule, current: str, evaluated: tuple[Datapoint, ...], breaching: int
) -> Evaluation | None:
    """Decide for `missing` and `ignore` when some points, but too few, are real."""
    if breaching >= rule.needed:
        return Evaluation(ALARM, _crossed(rule, ALARM, current, evaluated, 0), evaluated)
    if breaching < len(evaluated):
        return Evaluation(OK, _crossed(rule, OK, current, evaluated, 0), evaluated)
    # only breaching points, and too few: "avoiding premature transitions to alarm state"
    oldest_age = next(len(points) - place for place, point in enumerate(points) if point is not None)
    if rule.treat_missing == "missing" and oldest_age >= rule.needed:
        return Evaluation(ALARM, _crossed(rule, ALARM, current, evaluated, 0), evaluated)
    return None


def _crossed(rule: Rule, state: str, current: str, evaluated: tuple[Datapoint, ...], lacking: int) -> str:
    """Return the sentence that explains a state."""
    treated = {"breaching": "[Breaching]", "notBreaching": "[NonBreaching]"}.get(rule.treat_missing, "[Missing]")
    gap = f"{lacking} missing datapoint{'s were' if lacking != 1 else ' was'} treated as {treated}"
    if not evaluated:
        periods = f"{rule.evaluation_periods} period{'' if rule.evaluation_periods == 1 else 's'}"
        return f"Threshold Crossed: no datapoints were received for {periods} and {gap}."
    # in an alarm the breaching points are shown, else those that are not
    shown = [point for point in evaluated if rule.is_breaching(point.value) == (state == ALARM)] or list(evaluated)
    listed = ", ".join(f"{point.value!r} ({_day(point.timestamp)})" for point in reversed(shown))
    relation = ("" if state == ALARM else "not ") + COMPARISONS[rule.comparison][1]
    tail = f" and {gap}" if lacking else ""
    verb = "was" if len(shown) == 1 else "were"
    if rule.datapoints_to_alarm is None:
        noun = "datapoint" if len(shown) == 1 else "datapoints"
        crossed = f"{len(shown)} {noun} [{listed}] {verb} {relation} the threshold ({rule.threshold!r})"
        return f"Threshold Crossed: {crossed}{tail}."
    minimum = rule.needed if state == ALARM else rule.evaluation_periods - rule.needed + 1
    arrow = "OK -> ALARM" if state == ALARM else "ALARM -> OK"
    return (
        f"Threshold Crossed: {len(shown)} out of the last {len(evaluated)} datapoints [{listed}] {verb} {relation} the "
        f"threshold ({rule.threshold!r}){tail} (minimum {minimum} datapoint{'' if minimum == 1 else 's'} for {arrow} "
        "transition)."
    )


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%d/%m/%y %H:%M:%S")
