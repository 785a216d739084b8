"""The state of a CloudWatch alarm, as a rollout sees it."""

from __future__ import annotations

from localcloud.core import Core


def alarm_state(core: Core, name: str) -> str | None:
    """Return OK, ALARM or INSUFFICIENT_DATA; None when there is no such alarm."""
    try:
        from localcloud.cloudwatch import alarms
    except ImportError:
        found = core.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return str(found[0]["StateValue"]) if found else None
    return alarms.state(name)
