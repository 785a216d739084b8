"""Instance luck: how far apart equal models may be because the instances that they run on are not alike."""

from __future__ import annotations

import math

# standard deviation of the logarithm of one instance's rate; an assumption, not measured on AWS (docs/judge.md)
SPREAD = 0.2
# more than this many standard deviations of luck in one direction is met once in 740 rollouts
DEVIATIONS = 3.0


def instance_luck(green_share: float, instances: int) -> float:
    """Return the ratio of rates that luck alone may bring to green, on its share of a fleet of `instances`.

    A mean of few instances is luckier than one of many: 2.3 for 1 of 2, 1.9 for 1 of 10, 1.5 for 5 of 10.
    """
    green = min(max(1, round(green_share * instances)), max(1, instances - 1))
    blue = max(1, instances - green)
    return math.exp(DEVIATIONS * SPREAD * math.sqrt(1 / green + 1 / blue))
