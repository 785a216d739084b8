"""Simulated rollouts of one cell: what each fleet got, what failed or was slow, and what was told of it in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.judge.cells import BIN_SECONDS, BINS, LATE_FROM, OUTAGE, SEED, SLOW_RATE, Cell

Counts = NDArray[np.int64]
Rates = NDArray[np.float64]

INSTANCE_LOG_SD = 0.2
# instances of green and of blue
FLEETS = {0.05: (1, 19), 0.10: (1, 9), 0.50: (5, 5)}
SHOCK_BIN, STALL_BIN = 10, 15
WORST_SHARED_RATE = 0.9
# counts are read when they are older than the metric lag; some are completed only later
REVISED_BINS, REVISED_SHARE = 0.05, 0.30
HOUR_BINS = 60


@dataclass(frozen=True)
class Stream:
    """Bad events of one metric, (runs, bins); `told`: as known one lag after the bin, `final`: once revised."""

    green_told: Counts
    green_final: Counts
    blue_told: Counts
    blue_final: Counts


@dataclass(frozen=True)
class Runs:
    """Simulated rollouts of a cell: requests (runs, bins), two metrics, and blue's errors in the hour before.

    excess: expected bad requests of green above blue's rate, by bin, for an average run.
    """

    cell: Cell
    green: Counts
    blue: Counts
    errors: Stream
    slow: Stream
    hour_requests: Counts
    hour_errors: Counts
    excess: Rates


@dataclass(frozen=True)
class _Shape:
    """Multipliers and rates by bin."""

    traffic: Rates
    blue_errors: Rates
    green_errors: Rates
    blue_slow: Rates
    green_slow: Rates


def simulate(cell: Cell, runs: int, number: int) -> Runs:
    """Simulate `runs` rollouts of a cell. number: the cell's place, which with SEED makes its chance its own."""
    chance = np.random.Generator(np.random.SFC64(np.random.SeedSequence([SEED, number])))
    shape = _shape(cell)
    per_bin = cell.requests_per_second * BIN_SECONDS
    clump = {"clumps2": 2, "clumps5": 5}.get(cell.kind, 1)
    luck = _luck(chance, cell, runs)
    fleets = {}
    for fleet, share in (("green", cell.share), ("blue", 1 - cell.share)):
        mean = per_bin * share * np.broadcast_to(shape.traffic, (runs, BINS))
        errors = np.minimum(getattr(shape, f"{fleet}_errors")[None, :] * luck[fleet][:, None], 1.0)
        slow = np.minimum(getattr(shape, f"{fleet}_slow")[None, :] * luck[fleet][:, None], 1.0)
        requests, failed = _failures(chance, mean, errors, clump)
        fleets[fleet] = (requests, failed, chance.binomial(requests, slow))
    hour, hour_failed = _failures(
        chance, np.full((runs, HOUR_BINS), per_bin), np.full((runs, HOUR_BINS), cell.baseline), clump
    )
    (green, green_errors, green_slow), (blue, blue_errors, blue_slow) = fleets["green"], fleets["blue"]
    worse = shape.green_errors - shape.blue_errors + shape.green_slow - shape.blue_slow
    return Runs(
        cell=cell,
        green=green,
        blue=blue,
        errors=Stream(_told(chance, green_errors), green_errors, _told(chance, blue_errors), blue_errors),
        slow=Stream(_told(chance, green_slow), green_slow, _told(chance, blue_slow), blue_slow),
        hour_requests=hour,
        hour_errors=hour_failed,
        excess=np.zeros(BINS) if cell.is_null else per_bin * cell.share * shape.traffic * worse,
    )


def _shape(cell: Cell) -> _Shape:
    traffic, both_errors, both_slow = np.ones(BINS), np.full(BINS, cell.baseline), np.full(BINS, SLOW_RATE)
    if cell.kind == "shock":
        both_errors[SHOCK_BIN] *= 20
        both_slow[SHOCK_BIN] *= 10
    if cell.kind == "ramp":
        traffic = np.linspace(0.5, 1.5, BINS)
        both_errors *= np.linspace(0.5, 2.0, BINS)
        both_slow *= np.linspace(0.5, 2.0, BINS)
    if cell.kind == "stall":
        traffic[STALL_BIN], traffic[STALL_BIN + 1] = 0, 2
        both_errors[STALL_BIN + 1] *= 3
        both_slow[STALL_BIN + 1] *= 3
    both_errors, both_slow = np.minimum(both_errors, WORST_SHARED_RATE), np.minimum(both_slow, WORST_SHARED_RATE)
    errors, slow = both_errors.copy(), both_slow.copy()
    match cell.kind:
        case "margin" | "step":
            errors *= cell.effect
        case "latency":
            slow *= cell.effect
        case "leak":
            errors *= np.linspace(1.0, cell.effect, BINS)
        case "late":
            errors[LATE_FROM:] *= cell.effect
        case "outage":
            errors[:] = OUTAGE
        case "late_outage":
            errors[LATE_FROM:] = OUTAGE
        case "cold":
            slow[0] = 0.5
    return _Shape(traffic, both_errors, np.minimum(errors, 1.0), both_slow, np.minimum(slow, 1.0))


def _luck(chance: np.random.Generator, cell: Cell, runs: int) -> dict[str, Rates]:
    if cell.kind != "instances":
        return {"green": np.ones(runs), "blue": np.ones(runs)}
    sd = INSTANCE_LOG_SD
    green, blue = FLEETS[cell.share]
    drawn = np.exp(chance.normal(-sd * sd / 2, sd, (runs, green + blue)))
    return {"green": drawn[:, :green].mean(axis=1), "blue": drawn[:, green:].mean(axis=1)}


def _failures(chance: np.random.Generator, mean: Rates, rate: Rates, clump: int) -> tuple[Counts, Counts]:
    """Draw requests and failures; in clumps, `clump` requests come and fail together, and the rate stays."""
    if clump == 1:
        requests = chance.poisson(mean)
        return requests, chance.binomial(requests, rate)
    failed = clump * chance.poisson(mean * rate / clump)
    return failed + chance.poisson(mean * (1 - rate)), failed


def _told(chance: np.random.Generator, final: Counts) -> Counts:
    missing = chance.binomial(final, REVISED_SHARE)
    return np.where(chance.random(final.shape) < REVISED_BINS, final - missing, final)
