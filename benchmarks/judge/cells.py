"""Cells of the comparison: the seed, the nulls and the defects, fixed before any method was tuned on them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

SEED = 20261124
BINS = 30
BIN_SECONDS = 60
REQUESTS_PER_SECOND = (0.05, 0.5, 5.0, 50.0, 500.0)
SHARES = (0.05, 0.10, 0.50)
BASELINES = (0.001, 0.01, 0.05)
# the limit that makes a request slow is blue's p95
SLOW_RATE = 0.05

# what can go wrong without green being worse:
# iid        nothing does
# shock      one minute in which both fleets fail 20 times as often and are slow 10 times as often
# ramp       traffic grows from 0.5 to 1.5 times its mean and both rates from 0.5 to 2 times
# instances  each instance has its own luck: its rates times a lognormal of log-sd 0.2, for the whole bake
# clumps2/5  failures come two or five at a time on one fleet (a retried request, a batch that fails together)
# stall      no traffic for a minute, then twice as much, failing and slow three times as often on both
# cold       half of green's requests are slow in its first minute
NULLS = ("iid", "shock", "ramp", "instances", "clumps2", "clumps5", "stall", "cold")
# our own null: green is worse, by exactly the margin. Printed apart, not used to set any knob
MARGIN = 1.5
EFFECTS = (2.0, 3.0, 10.0)
OUTAGE = 1.0  # green's rate in a total outage
LEAK_ENDS_AT = 10.0  # times blue, at the end of the bake
LATE_FROM = 20  # the bin: two thirds of the bake
LATE_EFFECTS = (3.0, 10.0)


@dataclass(frozen=True)
class Cell:
    """One traffic and one defect (or null). effect: green's rate over blue's; 0 for a total outage, 1 for a null.

    kind: a null's name, or margin, step, outage, latency, leak, late, late_outage.
    """

    kind: str
    requests_per_second: float
    share: float
    baseline: float
    effect: float = 1.0

    @property
    def is_null(self) -> bool:
        """Green is no worse than blue."""
        return self.kind in NULLS

    @property
    def onset(self) -> int:
        """The first bin of the defect."""
        return LATE_FROM if self.kind in ("late", "late_outage") else 0

    @property
    def traffic(self) -> tuple[float, float, float]:
        """What a calibration for each traffic (table c) may know."""
        return self.requests_per_second, self.share, self.baseline


def null_cells() -> list[Cell]:
    """Return every null at every traffic."""
    return [Cell(kind, *where) for kind in NULLS for where in product(REQUESTS_PER_SECOND, SHARES, BASELINES)]


def margin_cells() -> list[Cell]:
    """Return green worse by exactly our margin."""
    return [Cell("margin", *where, MARGIN) for where in product(REQUESTS_PER_SECOND, SHARES, BASELINES)]


def defect_cells() -> list[Cell]:
    """Return every defect at every traffic; a latency shift has one baseline, for failures play no part in it."""
    cells = []
    for where in product(REQUESTS_PER_SECOND, SHARES, BASELINES):
        cells += [Cell("step", *where, effect) for effect in EFFECTS]
        cells.append(Cell("outage", *where, 0.0))
        cells.append(Cell("leak", *where, LEAK_ENDS_AT))
        cells += [Cell("late", *where, effect) for effect in LATE_EFFECTS]
        cells.append(Cell("late_outage", *where, 0.0))
    for rps, share in product(REQUESTS_PER_SECOND, SHARES):
        cells += [Cell("latency", rps, share, BASELINES[1], effect) for effect in EFFECTS]
    return cells
