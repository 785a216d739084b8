"""PutMetricAlarm: what AWS refuses, as the service model and the user guide say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcloud.cloudwatch import expressions
from localcloud.cloudwatch.errors import NotCovered, ValidationError
from localcloud.cloudwatch.evaluation import COMPARISONS
from localcloud.cloudwatch.statistics import SIMPLE, is_known

ALARM_PERIODS = (10, 20, 30)  # below a minute; alarms on high-resolution metrics
DAY_SECONDS, WEEK_SECONDS, HOUR_SECONDS = 86400, 604800, 3600
MAX_ACTIONS = 5
MAX_NAME = 255
TREATMENTS = ("breaching", "notBreaching", "ignore", "missing")
ACTION_LISTS = ("OKActions", "AlarmActions", "InsufficientDataActions")

_ONE_METRIC = ("Namespace", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic")


def check(params: Mapping[str, Any]) -> None:
    """Raise ValidationError for a request that AWS refuses, NotCovered for what the local cloud has not."""
    name = params.get("AlarmName") or ""
    if not 0 < len(name) <= MAX_NAME or any(ord(character) < ord(" ") for character in name):
        raise ValidationError(f"AlarmName must have 1 to {MAX_NAME} characters and no control characters.")
    for field in ("EvaluationCriteria", "EvaluationWindow", "WarmUpConfiguration"):
        if params.get(field) and "SlidingWindow" not in params[field]:
            raise NotCovered(f"{field} of PutMetricAlarm is not in the local cloud.")
    if params.get("EvaluationInterval"):
        raise ValidationError("EvaluationInterval cannot be specified for alarms with MetricName or Metrics.")
    if bool(params.get("MetricName")) == bool(params.get("Metrics")):
        raise ValidationError("Exactly one of MetricName and Metrics must be specified.")
    period = _check_metrics(params) if params.get("Metrics") else _check_metric(params)
    _check_evaluation(params, period)
    for field in ACTION_LISTS:
        actions = params.get(field) or []
        if len(actions) > MAX_ACTIONS:
            raise ValidationError(f"The collection {field} must not have a size greater than {MAX_ACTIONS}.")
        for action in actions:
            if not action.startswith("arn:"):
                raise ValidationError(f"Invalid arn syntax: {action}")


def period_of(params: Mapping[str, Any]) -> int:
    """Return the alarm's period in seconds; metric math has that of its shortest metric."""
    if params.get("MetricName"):
        return int(params["Period"])
    periods = [int(each["MetricStat"]["Period"]) for each in params["Metrics"] if each.get("MetricStat")]
    periods += [int(each["Period"]) for each in params["Metrics"] if each.get("Period")]
    return min(periods)


def watched(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the one query of a metric-math alarm that it looks at."""
    found: Mapping[str, Any] = next(each for each in params["Metrics"] if each.get("ReturnData", True))
    return found


def _check_metric(params: Mapping[str, Any]) -> int:
    if not params.get("Namespace"):
        raise ValidationError("Namespace is required for an alarm on a metric.")
    if bool(params.get("Statistic")) == bool(params.get("ExtendedStatistic")):
        raise ValidationError("Exactly one of Statistic and ExtendedStatistic must be specified.")
    if params.get("Statistic") and params["Statistic"] not in SIMPLE:
        raise ValidationError(f"The value {params['Statistic']} for parameter Statistic is not supported.")
    _check_extended(params.get("ExtendedStatistic"))
    if params.get("Period") is None:
        raise ValidationError("Period must be specified when creating an alarm on a metric.")
    _check_period(int(params["Period"]))
    return int(params["Period"])


def _check_metrics(params: Mapping[str, Any]) -> int:
    mixed = [field for field in _ONE_METRIC if params.get(field)]
    if mixed:
        raise ValidationError(f"{', '.join(mixed)} cannot be specified with Metrics.")
    metrics = params["Metrics"]
    if sum(bool(each.get("ReturnData", True)) for each in metrics) != 1:
        raise ValidationError("Exactly one of the Metrics must have ReturnData true.")
    if not any(each.get("MetricStat") for each in metrics):
        raise ValidationError("At least one of the Metrics must have a MetricStat.")
    for each in metrics:
        if bool(each.get("MetricStat")) == bool(each.get("Expression")):
            raise ValidationError(f"{each.get('Id')}: exactly one of MetricStat and Expression must be specified.")
        if each.get("Expression"):
            if "ANOMALY_DETECTION_BAND" in each["Expression"]:
                raise NotCovered("Alarms on anomaly detection are not in the local cloud.")
            expressions.names_in(each["Expression"])
        else:
            _check_period(int(each["MetricStat"]["Period"]))
            if not is_known(each["MetricStat"]["Stat"]):
                raise ValidationError(f"The value {each['MetricStat']['Stat']} for parameter Stat is not supported.")
    return period_of(params)


def _check_evaluation(params: Mapping[str, Any], period: int) -> None:
    if params.get("ThresholdMetricId"):
        raise NotCovered("Alarms on anomaly detection are not in the local cloud.")
    if params.get("ComparisonOperator") not in COMPARISONS:
        raise NotCovered(f"ComparisonOperator {params.get('ComparisonOperator')} is for anomaly detection: not local.")
    if params.get("Threshold") is None:
        raise ValidationError("Threshold is required for alarms based on static thresholds.")
    periods = params.get("EvaluationPeriods")
    if not periods or int(periods) < 1:
        raise ValidationError("EvaluationPeriods must be 1 or more.")
    if not 1 <= int(params.get("DatapointsToAlarm") or periods) <= int(periods):
        raise ValidationError(
            f"DatapointsToAlarm ({params['DatapointsToAlarm']}) must be less than or equal to EvaluationPeriods "
            f"({periods})."
        )
    if period < HOUR_SECONDS and int(periods) * period > DAY_SECONDS:
        raise ValidationError(
            "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400)."
        )
    if int(periods) * period > WEEK_SECONDS:
        raise ValidationError("EvaluationPeriods * Period must be <= 604800 seconds, which is seven days.")
    if params.get("TreatMissingData") not in (None, *TREATMENTS):
        raise ValidationError(
            f"Option {params['TreatMissingData']} is not supported. Supported options for parameter TreatMissingData "
            f"are {', '.join(TREATMENTS)}."
        )
    low = params.get("EvaluateLowSampleCountPercentile")
    if low not in (None, "evaluate", "ignore"):
        raise ValidationError(
            f"Option {low} is not supported. Supported options for parameter EvaluateLowSampleCountPercentile are "
            "evaluate and ignore."
        )
    if low and not str(params.get("ExtendedStatistic") or "").startswith("p"):
        raise ValidationError("EvaluateLowSampleCountPercentile is only for alarms on a percentile.")


def _check_extended(name: str | None) -> None:
    if name is not None and (name in SIMPLE or not is_known(name)):
        raise ValidationError(f"The value {name} for parameter ExtendedStatistic is not supported.")


def _check_period(period: int) -> None:
    if period not in ALARM_PERIODS and (period <= 0 or period % 60):
        raise ValidationError("Period must be 10, 20, 30 or a multiple of 60")
