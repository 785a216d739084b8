"""Any CloudWatch alarm as a rollback alarm: what it sees, and why it may never fire, or fire for the wrong thing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modeldrop.errors import Problem
from modeldrop.rollout.alarms import HEARTBEAT, VERDICT

# 0 or 1 a request, so that their average is a rate (CloudWatch metrics for SageMaker endpoints)
RATE_METRICS = frozenset({"InvocationModelErrors", "Invocation4XXErrors", "Invocation5XXErrors"})
LATENCY_METRICS = frozenset({"ModelLatency", "OverheadLatency"})
# a container must answer within 60 s, so no latency is longer
MAX_LATENCY_US = 60_000_000
# a limit below 1 ms was meant in milliseconds
MIN_LATENCY_US = 1_000
BELOW = frozenset({"LessThanThreshold", "LessThanOrEqualToThreshold"})
MISSING_WORDS = {
    "notBreaching": "OK",
    "missing": "INSUFFICIENT_DATA",
    "ignore": "no change",
    "breaching": "a breach",
}


@dataclass(frozen=True)
class AlarmReport:
    """One alarm: what it watches in words, what it cannot see, what is refused and what is only told."""

    name: str
    sees: str
    misses: tuple[str, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]


class AlarmFormatError(ValueError):
    """The document holds no alarm that can be read; the message says what was looked for."""


def read_alarms(document: Any) -> list[dict[str, Any]]:
    """Find the alarms in PutMetricAlarm JSON, a describe-alarms answer, or CloudFormation (properties to template)."""
    if isinstance(document, list):
        return [alarm for one in document for alarm in read_alarms(one)]
    if not isinstance(document, dict):
        raise AlarmFormatError("an alarm is a JSON object")
    if "MetricAlarms" in document or "CompositeAlarms" in document:
        listed = [document.get(kind) or [] for kind in ("MetricAlarms", "CompositeAlarms")]
        if not all(isinstance(one, list) and all(isinstance(each, dict) for each in one) for one in listed):
            raise AlarmFormatError("MetricAlarms and CompositeAlarms are lists of alarms")
        return [each for one in listed for each in one]
    if isinstance(document.get("Resources"), dict):
        kinds = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
        named = [
            (key, one)
            for key, one in document["Resources"].items()
            if isinstance(one, dict) and one.get("Type") in kinds
        ]
        return [{"AlarmName": key, **(one.get("Properties") or {})} for key, one in named]
    if isinstance(document.get("Properties"), dict):
        return read_alarms(document["Properties"])
    if not {"MetricName", "Metrics", "AlarmRule", "ComparisonOperator"} & document.keys():
        raise AlarmFormatError("it is neither PutMetricAlarm JSON, nor describe-alarms, nor AWS::CloudWatch::Alarm")
    return [document]


def alarm_report(
    alarm: Mapping[str, Any], *, watched_seconds: int, lag_seconds: int, bake_fields: str = "the bake"
) -> AlarmReport:
    """Look at one alarm beside a bake of `watched_seconds` and metrics that are `lag_seconds` late.

    bake_fields: the fields of rollout.yaml that set the bake.
    AlarmFormatError: a field is missing or is not what CloudWatch takes.
    """
    name = str(alarm.get("AlarmName") or "(no name)")
    if "AlarmRule" in alarm:
        what = f"alarm {name} is composite, and SageMaker looks at metric alarms only"
        return AlarmReport(name, "other alarms", (), (Problem("ALARM_COMPOSITE", what, name, "Give its parts."),), ())
    if "MetricName" not in alarm:
        warning = "metric math and anomaly bands are not checked: see for yourself that it can fire on green alone"
        return AlarmReport(name, "metric math", (), (), (warning,))
    one = _complete(alarm, name)
    problems = (
        *_cannot_fire(one),
        *_unit(one),
        *_diluted(one),
        *_too_slow(one, watched_seconds, lag_seconds, bake_fields),
    )
    return AlarmReport(name, _sees(one), tuple(_misses(one)), (*problems, *_silence(one)), tuple(_warnings(one)))


def _complete(alarm: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Fill in CloudWatch's defaults; CloudFormation may write numbers as text."""
    limit = _number(alarm, "Threshold", name)
    periods = _number(alarm, "EvaluationPeriods", name, least=1)
    dimensions = alarm.get("Dimensions") or []
    if not isinstance(dimensions, list) or not all(
        isinstance(one, dict) and {"Name", "Value"} <= one.keys() for one in dimensions
    ):
        raise AlarmFormatError(f"alarm {name:.100}: Dimensions is a list of Name and Value")
    stat = alarm.get("Statistic") or alarm.get("ExtendedStatistic")
    if not stat:
        raise AlarmFormatError(f"alarm {name:.100} has neither Statistic nor ExtendedStatistic")
    missing = [key for key in ("Namespace", "ComparisonOperator") if not alarm.get(key)]
    if missing:
        raise AlarmFormatError(f"alarm {name:.100} has no {missing[0]}")
    return {
        **alarm,
        "AlarmName": name,
        "Namespace": str(alarm["Namespace"]),
        "Threshold": limit,
        "Period": int(_number(alarm, "Period", name, least=1)),
        "EvaluationPeriods": int(periods),
        "DatapointsToAlarm": int(_number({"DatapointsToAlarm": periods, **alarm}, "DatapointsToAlarm", name, least=1)),
        "ComparisonOperator": str(alarm["ComparisonOperator"]),
        "TreatMissingData": str(alarm.get("TreatMissingData") or "missing"),
        "Stat": str(stat),
        "Dimensions": {str(each["Name"]): str(each["Value"]) for each in dimensions},
    }


def _number(alarm: Mapping[str, Any], key: str, name: str, least: float = -math.inf) -> float:
    found = alarm.get(key)
    if found is None:
        raise AlarmFormatError(f"alarm {name:.100} has no {key}")
    try:
        value = float(found)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value) or value < least:
        what = "a parameter or a function: put its value there" if isinstance(found, dict) else "not a number it can be"
        raise AlarmFormatError(f"alarm {name:.100}: {key} is {found!r:.60}, {what}")
    return value


def _of_sagemaker(one: Mapping[str, Any]) -> bool:
    return bool(one["Namespace"] == "AWS/SageMaker")


def _is_rate(one: Mapping[str, Any]) -> bool:
    return _of_sagemaker(one) and one["MetricName"] in RATE_METRICS and one["Stat"] not in ("Sum", "SampleCount")


def _both_fleets(one: Mapping[str, Any]) -> bool:
    return _of_sagemaker(one) and "EndpointConfigName" not in one["Dimensions"]


def _cannot_fire(one: Mapping[str, Any]) -> Iterator[Problem]:
    name, metric, limit, operator = (one[key] for key in ("AlarmName", "MetricName", "Threshold", "ComparisonOperator"))
    if one["DatapointsToAlarm"] > one["EvaluationPeriods"]:
        what = f"alarm {name} wants {one['DatapointsToAlarm']} breaching periods of {one['EvaluationPeriods']}"
        yield Problem("ALARM_CANNOT_FIRE", f"{what} evaluated ones", name, "Evaluate at least as many periods.")
    if _is_rate(one) and operator not in BELOW:
        fix = "The average of zeros and ones is a rate: 5% is 0.05, with the dimension EndpointConfigName."
        if limit > 1 or (limit == 1 and operator == "GreaterThanThreshold"):
            what = f"alarm {name}: a request adds 0 or 1 to {metric}, so its {one['Stat']} is never over {limit:g}"
            yield Problem("ALARM_CANNOT_FIRE", what, name, fix)
        elif limit == 1 and one["Stat"] == "Average" and _both_fleets(one):
            what = (
                f"alarm {name} waits for {metric} on every request (an average of 1 is 100%, not 1%) of both fleets: "
                "while blue answers one request it cannot fire, also when green always fails"
            )
            yield Problem("ALARM_CANNOT_FIRE", what, name, fix)
    if _of_sagemaker(one) and metric in LATENCY_METRICS and operator not in BELOW and limit >= MAX_LATENCY_US:
        what = f"alarm {name} waits for a latency over {limit / 1e6:g} s, and SageMaker ends a request after 60 s"
        yield Problem("ALARM_CANNOT_FIRE", what, name, "Use a latency below 60 s (60000000 microseconds).")
    if _of_sagemaker(one) and not {"EndpointName", "VariantName"} <= one["Dimensions"].keys():
        what = f"alarm {name} has no EndpointName and VariantName, and SageMaker publishes {metric} with both"
        yield Problem("ALARM_CANNOT_FIRE", what, name, "Add both; the variant is AllTraffic.")


def _unit(one: Mapping[str, Any]) -> Iterator[Problem]:
    name, limit, unit = one["AlarmName"], one["Threshold"], one.get("Unit")
    if not _of_sagemaker(one) or one["MetricName"] not in LATENCY_METRICS or one["Stat"] == "SampleCount":
        return
    if unit not in (None, "Microseconds"):
        what = f"alarm {name} asks for {one['MetricName']} in {unit}, and SageMaker publishes it in Microseconds only"
        yield Problem("ALARM_WRONG_UNIT", what, name, "Leave Unit out, and give the threshold in microseconds.")
    elif one["MetricName"] == "ModelLatency" and 0 < limit < MIN_LATENCY_US:
        what = (
            f"alarm {name}: {limit:g} is in microseconds, {limit / 1000:g} ms, which every request of a model exceeds"
        )
        yield Problem("ALARM_WRONG_UNIT", what, name, f"If {limit:g} ms is meant, write {limit * 1000:.0f}.")


def _diluted(one: Mapping[str, Any]) -> Iterator[Problem]:
    """Without the config's dimension an alarm sees all traffic: 10% of it that always fails is 10%."""
    if _both_fleets(one):
        what = f"alarm {one['AlarmName']} watches {one['MetricName']} of both fleets, so blue dilutes green's"
        fix = "Add the dimension EndpointConfigName with the new config's name."
        yield Problem("ALARM_DILUTED", what, one["AlarmName"], fix)


def _too_slow(one: Mapping[str, Any], watched_seconds: int, lag_seconds: int, bake_fields: str) -> Iterator[Problem]:
    # missing data is no data to wait for; the heartbeat's own check is against all bakes (rollout.plan)
    needs = one["Period"] * one["DatapointsToAlarm"] + lag_seconds
    if one["TreatMissingData"] != "breaching" and needs > watched_seconds:
        what = (
            f"alarm {one['AlarmName']} needs {needs} s to fire ({one['DatapointsToAlarm']} x {one['Period']} s "
            f"and {lag_seconds} s of metric lag), and the longest bake is {watched_seconds} s"
        )
        fix = f"Lengthen {bake_fields}, or shorten the alarm's periods."
        yield Problem("ALARM_TOO_SLOW", what, bake_fields, fix)


def _silence(one: Mapping[str, Any]) -> Iterator[Problem]:
    name, treats = one["AlarmName"], one["TreatMissingData"]
    if one["ComparisonOperator"] in BELOW and treats != "breaching":
        what = (
            f"alarm {name} waits for too little, and takes silence ({treats}) for {MISSING_WORDS.get(treats, treats)}"
        )
        yield Problem("ALARM_SILENCE_LOOKS_HEALTHY", what, name, "Set TreatMissingData to breaching.")
    if treats == "breaching" and _of_sagemaker(one) and "EndpointConfigName" in one["Dimensions"]:
        what = f"alarm {name} fires before green has any traffic: its metrics begin with it, and missing is breaching"
        yield Problem("ALARM_FIRES_AT_ONCE", what, name, "Leave silence to the heartbeat alarm and on_blind.")


def _warnings(one: Mapping[str, Any]) -> Iterator[str]:
    treats, limit = one["TreatMissingData"], one["Threshold"]
    if _of_sagemaker(one) and treats in ("missing", "ignore"):
        yield f"silence is {MISSING_WORDS[treats]}: an alarm must be OK before the rollout, so set notBreaching"
    if _of_sagemaker(one) and one["MetricName"] in RATE_METRICS and one["Stat"] == "Sum":
        yield f"a count over {limit:g} in {one['Period']} s is another rate at another traffic: Average is the rate"
    if _of_sagemaker(one) and one["MetricName"] == "Invocation4XXErrors":
        yield "4XX is what clients do wrong: a single bad client can roll back a good model"
    if _of_sagemaker(one) and one["Period"] < 60:
        yield "a period under a minute needs enhanced metrics (MetricsConfig), else most periods are empty"


def _sees(one: Mapping[str, Any]) -> str:
    limit = f"{one['Threshold']:g}"
    if _is_rate(one):
        share = f" ({one['Threshold'] * 100:.3g}% of requests)" if one["Threshold"] <= 1 else ""
        limit = f"{one['Threshold']:.3g}{share}"
    elif _of_sagemaker(one) and one["MetricName"] in LATENCY_METRICS:
        limit = f"{one['Threshold']:g} us ({one['Threshold'] / 1000:g} ms)"
    side = "under" if one["ComparisonOperator"] in BELOW else "over"
    equal = "at or " if "OrEqual" in one["ComparisonOperator"] else ""
    periods = f"{one['DatapointsToAlarm']} of {one['EvaluationPeriods']} periods of {one['Period']} s"
    return f"{one['Stat']} {one['MetricName']} {equal}{side} {limit} in {periods}"


def _misses(one: Mapping[str, Any]) -> Iterator[str]:
    if one["TreatMissingData"] == "notBreaching":
        yield "silence: no data is taken for OK"
    if _of_sagemaker(one) and one["MetricName"] in RATE_METRICS:
        yield "slow answers, wrong answers, and whether blue fails as much"
    if _of_sagemaker(one) and one["MetricName"] in LATENCY_METRICS:
        average = ", and a slow minority, which an average hides" if one["Stat"] == "Average" else ""
        yield f"failures, and whether blue is as slow{average}"
    if one["MetricName"] == VERDICT:
        yield "what the judge is not told: wrong answers, and a judge that is dead (the heartbeat sees that)"
    if one["MetricName"] == HEARTBEAT:
        yield "how green is doing: only that somebody looks"


def lint_all(
    alarms: Sequence[Mapping[str, Any]], *, watched_seconds: int, lag_seconds: int, bake_fields: str = "the bake"
) -> list[Problem]:
    """Return every problem of some alarms."""
    beside = {"watched_seconds": watched_seconds, "lag_seconds": lag_seconds}
    found = [alarm_report(one, **beside, bake_fields=bake_fields) for one in alarms]
    return [problem for one in found for problem in one.problems]
