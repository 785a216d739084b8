"""Run the whole comparison and write its tables and plots.

    nice python -m benchmarks.judge.run [--null-runs 1000] [--runs 500] [--workers 2] [--out docs/benchmarks/judge]

Deterministic: the seed is cells.SEED, and each cell's chance is its own. Nulls are simulated first and set the knobs;
the defects are judged with them afterwards.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import replace
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.judge import methods
from benchmarks.judge.binomial import upper_limit
from benchmarks.judge.cells import BIN_SECONDS, BINS, SEED, Cell, defect_cells, margin_cells, null_cells
from benchmarks.judge.methods import METHODS
from benchmarks.judge.report import write_report
from benchmarks.judge.traffic import Runs, simulate

Floats = NDArray[np.float64]
FALSE_ALARMS = 0.01
MISSED_SECONDS = 3600
# null cells, cells at the margin and defects draw from numbers of their own
MARGIN_FROM, DEFECT_FROM, BAR_NUMBER = 1000, 2000, 9999
BAR_CELL = Cell("step", 0.5, 0.10, 0.005, 40.0)
BAR_RUNS = 8000


def finite(scores: Floats) -> Floats:
    """Take what no knob could reach as silence: Kayenta ignores an effect size it cannot compute."""
    return np.where(np.isfinite(scores), scores, 0.0)


def null_cell(job: tuple[int, Cell, int]) -> dict[str, Any]:
    """Return each method's highest score in each run of a null, and how often it fires as shipped."""
    number, cell, count = job
    runs = simulate(cell, count, number)
    found: dict[str, Any] = {"cell": cell, "top": {}, "shipped": {}}
    for method in METHODS:
        scores = method.score(runs)
        fired = (scores >= method.shipped).any(axis=1)
        found["shipped"][method.name] = int(fired.sum())
        found["top"][method.name] = finite(scores).max(axis=1)
        if method.name == "judge":
            found["ends"] = judge_ends(runs, fired)
    return found


def judge_ends(runs: Runs, bad: NDArray[np.bool_]) -> dict[str, float]:
    """Return how often the judge ends inconclusive and blind."""
    unsure, blind = methods.judge_says_nothing(runs)
    return {"inconclusive": float((unsure & ~bad).mean()), "blind": float((blind & ~bad).mean())}


def defect_cell(job: tuple[int, Cell, int, dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Return detection, delay and harm of each method under each of its knobs."""
    number, cell, count, knobs = job
    runs = simulate(cell, count, number)
    found: dict[str, Any] = {"cell": cell, "tables": {table: {} for table in knobs}}
    for method in METHODS:
        scores = method.score(runs)
        for table, settings in knobs.items():
            used = scores if table == "shipped" else finite(scores)
            found["tables"][table][method.name] = outcome(runs, used >= settings[method.name], method.delay_seconds)
        if method.name == "judge":
            found["ends"] = judge_ends(runs, (scores >= method.shipped).any(axis=1))
            if cell.kind == "margin":
                found["never_revised"] = float((method.score(never_revised(runs)) >= method.shipped).any(axis=1).mean())
    return found


def never_revised(runs: Runs) -> Runs:
    """Return the same rollouts, had every count been complete when it was read."""
    whole = {
        name: replace(stream, green_told=stream.green_final, blue_told=stream.blue_final)
        for name, stream in (("errors", runs.errors), ("slow", runs.slow))
    }
    return replace(runs, **whole)


def outcome(runs: Runs, fires: NDArray[np.bool_], delay: int) -> dict[str, float]:
    """Return detection in the bake, restricted mean delay (seconds from onset) and mean harm (bad requests)."""
    # an alarm before the defect is false, but it rolls back all the same: nobody is harmed and nothing is detected
    onset = runs.cell.onset
    early = fires[:, :onset].any(axis=1)
    hit = fires[:, onset:].any(axis=1) & ~early
    at = onset + fires[:, onset:].argmax(axis=1)
    gone = (at + 1) * BIN_SECONDS + delay
    horizon = (BINS - onset) * BIN_SECONDS
    waited = np.where(hit, np.minimum(gone - onset * BIN_SECONDS, horizon), horizon)
    grown = np.concatenate([[0.0], np.cumsum(runs.excess), np.cumsum(np.full(10, runs.excess[-1])) + runs.excess.sum()])
    caught = np.interp(gone / BIN_SECONDS, np.arange(len(grown)), grown)
    whole = runs.excess[-1] / runs.cell.share * MISSED_SECONDS / BIN_SECONDS
    harm = np.where(hit, caught, np.where(early, 0.0, runs.excess.sum() + whole))
    return {
        "detected": float(hit.mean()),
        "delay": float(waited[~early].mean() if (~early).any() else 0.0),
        "harm": float(harm.mean()),
        "early": float(early.mean()),
        "harm_se": float(harm.std() / math.sqrt(len(harm))),
    }


def calibrated(nulls: list[dict[str, Any]], name: str) -> float:
    """Return the lowest knob with which every null's upper limit of false alarms is FALSE_ALARMS at most."""
    runs = len(nulls[0]["top"][name])
    allowed = max((k for k in range(runs // 50) if upper_limit(k, runs) <= FALSE_ALARMS), default=0)
    return max(float(np.nextafter(np.sort(one["top"][name])[-1 - allowed], np.inf)) for one in nulls)


def bar(count: int) -> dict[str, Any]:
    """Return how soon 0.5% -> 20% at 0.5 requests/s and 10% is found, from the first green request, as shipped."""
    runs = simulate(BAR_CELL, count, BAR_NUMBER)
    fires = methods.judge(runs) >= METHODS[0].shipped
    ended = np.where(fires.any(axis=1), (fires.argmax(axis=1) + 1) * BIN_SECONDS + before_the_first_bin(runs), np.inf)
    clocks = {
        "the deciding bin ends": 0,
        "the verdict is spoken (metric lag, look)": methods.LAG_SECONDS + methods.LOOK_SECONDS,
        "all traffic is back on blue (publish, a whole period of the alarm)": methods.JUDGED,
    }
    return {
        clock: {
            "within_12_min": float((ended + more <= 720).mean()),
            "within_20_min": float((ended + more <= 1200).mean()),
            "median_minutes": float(np.median(ended + more) / 60),
        }
        for clock, more in clocks.items()
    }


def before_the_first_bin(runs: Runs) -> Floats:
    """Return the seconds from green's first request to the first judged bin, (runs,); below 0 where it came in a bin.

    The canary begins at any moment of a period, and the rest of that period is a shift bin, which is left out.
    """
    chance = np.random.Generator(np.random.SFC64(np.random.SeedSequence([SEED, BAR_NUMBER, 1])))
    count = len(runs.green)
    left_out = chance.random(count) * BIN_SECONDS
    waited = chance.exponential(1 / (runs.cell.requests_per_second * runs.cell.share), count)
    # where none came in the shift bin, the first is the earliest in the first bin that has any
    number = np.argmax(runs.green > 0, axis=1)
    within = 1 - chance.random(count) ** (1 / np.maximum(runs.green[np.arange(count), number], 1))
    later = left_out + (number + within) * BIN_SECONDS
    return left_out - np.where(waited < left_out, waited, later)


def main() -> None:
    """Simulate, calibrate, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--null-runs", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/judge"))
    chosen = parser.parse_args()
    began = time.monotonic()
    with Pool(chosen.workers) as pool:
        nulls = pool.map(null_cell, [(n, c, chosen.null_runs) for n, c in enumerate(null_cells())], chunksize=5)
        shipped = {one.name: one.shipped for one in METHODS}
        once = {one.name: calibrated(nulls, one.name) for one in METHODS}
        jobs = []
        by_traffic: dict[tuple[float, float, float], dict[str, float]] = {}
        for first, cells in ((MARGIN_FROM, margin_cells()), (DEFECT_FROM, defect_cells())):
            for number, cell in enumerate(cells):
                if cell.traffic not in by_traffic:
                    same = [one for one in nulls if one["cell"].traffic == cell.traffic]
                    by_traffic[cell.traffic] = {one.name: calibrated(same, one.name) for one in METHODS}
                knobs = {"shipped": shipped, "one_knob": once, "per_cell": by_traffic[cell.traffic]}
                jobs.append((first + number, cell, chosen.runs, knobs))
        judged = pool.map(defect_cell, jobs, chunksize=5)
    results = {
        "seed": SEED, "null_runs": chosen.null_runs, "runs": chosen.runs,
        "knobs": {one.name: {"knob": one.knob, "shipped": one.shipped, "one_knob": once[one.name]} for one in METHODS},
        "nulls": [{"cell": vars(one["cell"]), "false_alarms": one["shipped"], "ends": one["ends"]} for one in nulls],
        "margin": [_plain(one) for one in judged if one["cell"].kind == "margin"],
        "defects": [_plain(one) for one in judged if one["cell"].kind != "margin"],
        "bar": bar(BAR_RUNS),
    }  # fmt: skip
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "results.json").write_text(json.dumps(_rounded(results), separators=(",", ":")) + "\n")
    print(f"simulated in {time.monotonic() - began:.0f} s")
    write_report(chosen.out)


def _plain(one: dict[str, Any]) -> dict[str, Any]:
    return {**one, "cell": vars(one["cell"])}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
