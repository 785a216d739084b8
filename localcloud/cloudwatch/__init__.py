"""CloudWatch: exact metrics, statistics, metric math, and alarms that are evaluated for real.

moto keeps dashboards and tags; metrics and alarms are all here, as moto evaluates none.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from localcloud.core import ACCOUNT_ID, Core

TICK_SECONDS = 0.5


def install(core: Core) -> None:
    """Answer CloudWatch's calls from this package and start evaluating alarms."""
    from localcloud.cloudwatch import alarm_calls, publish, queries
    from localcloud.cloudwatch.actions import Actions
    from localcloud.cloudwatch.alarms import ALARMS

    ALARMS.region = core.region
    actions, stopped = Actions(core, ALARMS), threading.Event()
    ALARMS.on_change = actions
    _answer(
        {
            "put_metric_data": publish.put_metric_data,
            "get_metric_data": queries.get_metric_data,
            "get_metric_statistics": queries.get_metric_statistics,
            "list_metrics": queries.list_metrics,
            "put_metric_alarm": _tagging(alarm_calls.put_metric_alarm),
            "put_composite_alarm": _tagging(alarm_calls.put_composite_alarm),
            "describe_alarms": alarm_calls.describe_alarms,
            "describe_alarms_for_metric": alarm_calls.describe_alarms_for_metric,
            "describe_alarm_history": alarm_calls.describe_alarm_history,
            "delete_alarms": alarm_calls.delete_alarms,
            "set_alarm_state": alarm_calls.set_alarm_state,
            "enable_alarm_actions": alarm_calls.enable_alarm_actions,
            "disable_alarm_actions": alarm_calls.disable_alarm_actions,
            "tag_resource": tag_resource,
            "untag_resource": untag_resource,
            "list_tags_for_resource": list_tags_for_resource,
        }
    )
    _take_metrics_from_moto()

    def run() -> None:
        while not stopped.wait(TICK_SECONDS):
            try:
                ALARMS.evaluate_due(time.time())
            except Exception:  # alarms must go on being evaluated
                sys.stderr.write(f"the alarm ticker failed:\n{traceback.format_exc()}")

    core.on_start(actions.start)
    core.on_start(lambda: threading.Thread(target=run, name="alarms", daemon=True).start())
    core.on_stop(stopped.set)
    core.on_stop(actions.stop)


def tag_resource(params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer TagResource for alarms."""
    _tagger(params["ResourceARN"]).tag_resource(params["ResourceARN"], list(params.get("Tags") or []))
    return {}


def untag_resource(params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer UntagResource for alarms."""
    _tagger(params["ResourceARN"]).untag_resource_using_names(params["ResourceARN"], list(params.get("TagKeys") or []))
    return {}


def list_tags_for_resource(params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer ListTagsForResource for alarms."""
    tags = _tagger(params["ResourceARN"]).get_tag_dict_for_resource(params["ResourceARN"])
    return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def _tagger(arn: str) -> Any:
    """Return moto's keeper of tags, if the alarm exists."""
    from moto.cloudwatch.models import cloudwatch_backends

    from localcloud.cloudwatch.alarms import ALARMS
    from localcloud.cloudwatch.errors import ResourceNotFoundException

    known = {alarm.arn for alarm in ALARMS.all()}
    if arn not in known:
        raise ResourceNotFoundException(f"The alarm {arn} does not exist")
    return cloudwatch_backends[ACCOUNT_ID][arn.split(":")[3]].tagger


def _tagging(put: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Wrap a put so that the tags of a new alarm are kept; those of an existing one are not touched, as on AWS."""

    def answer(params: Mapping[str, Any]) -> dict[str, Any]:
        from localcloud.cloudwatch.alarms import ALARMS

        is_new = ALARMS.get(params["AlarmName"]) is None
        result = put(params)
        alarm = ALARMS.get(params["AlarmName"])
        if is_new and alarm and params.get("Tags"):
            tag_resource({"ResourceARN": alarm.arn, "Tags": params["Tags"]})
        return result

    return answer


def _answer(calls: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]) -> None:
    """Make moto's CloudWatch answer these calls from here, in whatever protocol the caller speaks."""
    from moto.cloudwatch.responses import CloudWatchResponse
    from moto.core.responses import ActionResult

    def method(call: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[[Any], Any]:
        return lambda self: ActionResult(call(self._get_params()))

    for name, call in calls.items():
        setattr(CloudWatchResponse, name, method(call))


def _take_metrics_from_moto() -> None:
    """Send what moto's own services publish (metric filters of Logs) to the store."""
    from moto.cloudwatch.models import CloudWatchBackend

    from localcloud.cloudwatch.publish import put_metric_data

    def put(self: Any, namespace: str, metric_data: list[dict[str, Any]]) -> None:
        put_metric_data({"Namespace": namespace, "MetricData": metric_data})

    CloudWatchBackend.put_metric_data = put
