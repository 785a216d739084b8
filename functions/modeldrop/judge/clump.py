"""Clumps: how many failures come together, measured where only blue had traffic."""

from __future__ import annotations

import math
from collections.abc import Sequence

from modeldrop.judge.bins import Counts

# fewer failures than this do not tell how they come
MIN_FAILURES = 5
MAX_CLUMP = 20


def clump_size(counts: Sequence[Counts]) -> int:
    """Return the clump size of failures in bins of one fleet: their variance over that of independent failures.

    For clumps of equal size the quotient is that size. A shared shock looks like a clump as well, which errs on the
    careful side: the judge asks for more. 1 when there are too few failures to tell.
    """
    told = [one for one in counts if one.requests > 0]
    requests, failures = sum(one.requests for one in told), sum(min(one.errors, one.requests) for one in told)
    if failures < MIN_FAILURES or len(told) < 2 or failures == requests:
        return 1
    rate = failures / requests
    squares = math.fsum((min(one.errors, one.requests) - one.requests * rate) ** 2 / one.requests for one in told)
    dispersion = squares / (rate * (1 - rate)) / (len(told) - 1)
    # independent failures scatter around 1, the more the fewer they are: two standard deviations are taken for 1
    noise = 2 * math.sqrt(2 / (len(told) - 1) + 1 / failures)
    return 1 if dispersion <= 1 + noise else min(MAX_CLUMP, math.ceil(dispersion))
