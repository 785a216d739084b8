"""False alarms: at most alpha under every null the judge promises to stand, by simulation on fixed seeds.

At alpha 5% and margin 1 the test is at the edge of its null, where false alarms are likeliest; the limit adds three
standard errors of the simulation. Not promised: instances that differ more than luck.SPREAD.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.judge import methods, port, traffic
from benchmarks.judge.cells import Cell
from benchmarks.judge.traffic import Runs, simulate

ALPHA, RUNS = 0.05, 2000
LIMIT = ALPHA + 3 * (ALPHA * (1 - ALPHA) / RUNS) ** 0.5
TRAFFIC = [(0.5, 0.10, 0.05), (5.0, 0.50, 0.01), (50.0, 0.10, 0.05)]


def at_the_edge(runs: Runs, clump: int) -> float:
    """Share of runs called bad at margin 1 with next to no floor: errors and slow acting, warm-up for slow."""
    rules = port.Rules(margin=1.0, floor=1e-6)
    size = np.full(len(runs.green), clump)
    errors = port.metric_evidence(runs.errors.green_final, runs.green, runs.errors.blue_final, runs.blue, size, rules)
    later = [one[:, 1:] for one in (runs.slow.green_final, runs.green, runs.slow.blue_final, runs.blue)]
    slow = port.metric_evidence(*later, size, rules)
    slow = np.concatenate([np.zeros((len(slow), 1)), slow], axis=1)
    return float((port.together(errors, slow) >= -np.log(ALPHA)).any(axis=1).mean())


@pytest.mark.parametrize("traffic", TRAFFIC, ids=str)
@pytest.mark.parametrize(
    ("kind", "clump"),
    [("iid", 1), ("shock", 1), ("ramp", 1), ("stall", 1), ("cold", 1), ("clumps2", 2), ("clumps5", 5)],
)
def test_false_alarms_stay_below_alpha(kind: str, clump: int, traffic: tuple[float, float, float]) -> None:
    assert at_the_edge(simulate(Cell(kind, *traffic), RUNS, 7), clump) <= LIMIT


def test_without_the_clump_correction_clumps_do_raise_alarms() -> None:
    runs = simulate(Cell("clumps5", *TRAFFIC[2]), RUNS, 7)
    assert at_the_edge(runs, 1) > 2 * LIMIT


@pytest.mark.parametrize("traffic", [*TRAFFIC, (0.05, 0.10, 0.01)], ids=str)
@pytest.mark.parametrize("kind", ["iid", "shock", "ramp", "instances", "stall", "cold", "clumps2"])
def test_as_shipped_one_in_a_hundred_is_not_reached(kind: str, traffic: tuple[float, float, float]) -> None:
    """With the margin of 1.5, counts revised late, clumps measured from the hour before; instances by 20%."""
    bad = (methods.judge(simulate(Cell(kind, *traffic), RUNS, 8)) >= 2).any(axis=1).mean()
    assert bad <= 0.01 + 3 * (0.01 * 0.99 / RUNS) ** 0.5


@pytest.mark.parametrize("share", [0.05, 0.10, 0.50])
def test_unequal_instances_are_excused_also_where_every_difference_is_seen(share: float) -> None:
    """At 500 requests/s a log-sd of 20% between instances passes the margin more than once in 100."""
    bad = (methods.judge(simulate(Cell("instances", 500.0, share, 0.05), RUNS, 9)) >= 2).any(axis=1).mean()
    assert bad <= 0.01 + 3 * (0.01 * 0.99 / RUNS) ** 0.5


def test_instances_twice_as_unequal_as_is_assumed_are_not_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "INSTANCE_LOG_SD", 0.4)
    bad = (methods.judge(simulate(Cell("instances", 500.0, 0.10, 0.05), RUNS, 9)) >= 2).any(axis=1).mean()
    assert 0.02 < bad < 0.25
