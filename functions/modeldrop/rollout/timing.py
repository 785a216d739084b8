"""Times of a rollout: metric lag, looks, alarm periods, waits and deadlines, in seconds."""

from __future__ import annotations

from datetime import datetime, timedelta

from modeldrop.policy.model import Policy

# every look is 9 history events (Wait 2, Task 5, Choice 2); with the longest waits around it, 540 stay under 10,000
MAX_LOOKS = 540
# so many looks come as fast as they are useful, the others are spared
EAGER_LOOKS = 300
MIN_LOOK_SECONDS = 2
# a deployment that SageMaker itself should have ended by now is stuck (endpoints in Creating for hours are known)
GRACE_SECONDS = 900


def metric_lag_seconds(policy: Policy) -> int:
    """Return how long after a period's end its counts are taken as final.

    The policy's own value, or 90 s, 20 s, 10 s for periods of 60 s, 30 s, 10 s. AWS documents no figure: these are
    assumptions, not measured on AWS.
    """
    if policy.judge.metric_lag_seconds is not None:
        return policy.judge.metric_lag_seconds
    every = policy.endpoint.metrics_every_seconds
    return 90 if every >= 60 else 20 if every >= 30 else 10


def capture_lag_seconds(policy: Policy) -> int:
    """Return how long after a period's end its captured answers are taken as complete.

    The policy's own value, or three minutes: AWS gives no figure, so this is an assumption. Answers that come later
    are not counted, which takes from both fleets alike.
    """
    return 180 if policy.quality.lag_seconds is None else policy.quality.lag_seconds


def alarm_period_seconds(policy: Policy) -> int:
    """Return the period of the alarms: that of the metrics where it is under a minute, else 60."""
    return min(60, policy.endpoint.metrics_every_seconds)


# an alarm looks at more periods than it evaluates, and takes old points from them before it treats silence as such
EVALUATION_RANGE_EXTRA = 2


def heartbeat_periods(policy: Policy) -> int:
    """Return N = M of the heartbeat alarm; where missing is breaching it fires N + 2 periods after the last point.

    Source: CloudWatch user guide, "How alarm state is evaluated when data is missing" (evaluation range).
    """
    period = alarm_period_seconds(policy)
    return max(1, _ceil(policy.judge.dead_man_seconds / period) - EVALUATION_RANGE_EXTRA)


def silence_seconds(policy: Policy) -> int:
    """Return how long nobody may judge until the heartbeat alarm fires: dead_man, but three periods at least."""
    return (heartbeat_periods(policy) + EVALUATION_RANGE_EXTRA) * alarm_period_seconds(policy)


def look_seconds(policy: Policy) -> int:
    """Return the usual time between looks: twice a period, and three times within dead_man."""
    return max(MIN_LOOK_SECONDS, min(alarm_period_seconds(policy) // 2, policy.judge.dead_man_seconds // 3))


def waits_seconds(policy: Policy) -> int:
    """Return the sum of a rollout's bakes, which SageMaker's own timeout must exceed."""
    return policy.strategy.waits_seconds(policy.endpoint.instance_count)


def execution_timeout_seconds(policy: Policy) -> int:
    """Return MaximumExecutionTimeoutInSeconds."""
    return policy.strategy.execution_timeout_seconds(policy.endpoint.instance_count)


def deadline_seconds(policy: Policy) -> int:
    """Return when a rollout is called stuck, from its start."""
    final_bake = policy.strategy.final_bake_seconds_of(policy.endpoint.instance_count)
    return execution_timeout_seconds(policy) + final_bake + GRACE_SECONDS


def notice_seconds(policy: Policy) -> int:
    """Return how long before an end a roll back must be asked for: metric lag, one alarm evaluation, two looks."""
    return metric_lag_seconds(policy) + alarm_period_seconds(policy) + 2 * look_seconds(policy)


def slowest_look_seconds(policy: Policy) -> int:
    """Return the longest time between two looks in the worst case, once MAX_LOOKS has to be spared."""
    left = deadline_seconds(policy) - EAGER_LOOKS * look_seconds(policy)
    return max(look_seconds(policy), _ceil(left / (MAX_LOOKS - EAGER_LOOKS)))


def next_look_seconds(
    now: datetime, *, look: int, period: int, lag: int, judging: bool, looks: int, remaining: float
) -> int:
    """Return the seconds until the next look.

    While judging: when the next bin closes (its end plus the lag, plus one second), if that comes before the usual
    look. After EAGER_LOOKS, which a rollout of usual length does not reach, the looks that are left are spread over
    the `remaining` seconds, so that the workflow's history holds them.
    """
    spread = 0 if looks < EAGER_LOOKS else _ceil(remaining / max(1, MAX_LOOKS - looks))
    wait = look
    if judging:
        closes = period - (now - timedelta(seconds=lag)).timestamp() % period
        wait = min(wait, int(closes) + 1)
    return max(MIN_LOOK_SECONDS, wait, spread)


def _ceil(value: float) -> int:
    return -int(-value // 1)
