"""Other bets than the judge's, on the same defects at the shipped bar: what docs/judge.md chose from.

    PYTHONPATH=.:functions nice python -m benchmarks.judge.variants [--runs 150]

Prints a line a bet: share of defects found and mean bins until then, over the traffics in which any bet finds 10%.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from multiprocessing import Pool

import numpy as np
from numpy.typing import NDArray

from benchmarks.judge import port
from benchmarks.judge.cells import BINS, Cell, defect_cells
from benchmarks.judge.port import Bet, Rules
from benchmarks.judge.run import DEFECT_FROM
from benchmarks.judge.traffic import FLEETS, Runs, simulate
from modeldrop.judge.luck import instance_luck

Floats = NDArray[np.float64]


def even(low: float, high: float, points: int) -> tuple[float, ...]:
    """Return ratios spread evenly in their logarithm: a continuous prior by quadrature."""
    return tuple(float(one) for one in np.geomspace(low, high, points))


BETS = {
    "as shipped": Bet(),
    "ratios up to 100": Bet(ratios=(1.5, 3, 10, 30, 100)),
    "half on later starts": Bet(from_the_start=0.5),
    "a tenth on later starts": Bet(from_the_start=0.9),
    "four ratios": Bet(ratios=(1.35, 2.5, 8, 50)),
    "three ratios": Bet(ratios=(1.4, 4, 25)),
    "continuous, 24 points": Bet(ratios=even(1.1, 200, 24), floor_ratios=even(1.3, 600, 16)),
}
PLUG_IN = "predictable plug-in"


def evidence(runs: Runs, bet: Bet | None) -> Floats:
    """Return log10 evidence; bet None: each bin bets on the ratio estimated from the bins before it."""
    clump = port.clump_sizes(runs.hour_requests, runs.hour_errors)
    luck = instance_luck(runs.cell.share, sum(FLEETS[runs.cell.share]))
    paths = []
    for stream, floor, start in ((runs.errors, 0.001, 0), (runs.slow, 0.01, 1)):
        counts = [one[:, start:] for one in (stream.green_told, runs.green, stream.blue_told, runs.blue)]
        if bet is None:
            rules = Rules(floor=floor, bet=Bet(from_the_start=1.0))
            above = port.late_starts(port.floor_steps(counts[0], counts[1], rules) / clump[:, None, None], rules)
            path = np.minimum(np.cumsum(plug_in(*counts, rules.margin) / clump[:, None], axis=1), above)
        else:
            path = port.metric_evidence(*counts, clump, Rules(floor=floor, luck=luck, bet=bet))
        paths.append(np.concatenate([np.zeros((len(path), start)), path], axis=1))
    return port.together(paths[0], paths[1]) / np.log(10)


def plug_in(green_bad: Floats, green: Floats, blue_bad: Floats, blue: Floats, margin: float) -> Floats:
    """Return each bin's log likelihood ratio for what earlier bins suggest (one failure more on each side)."""
    before = [np.cumsum(one, axis=1) - one for one in (green_bad, green, blue_bad, blue)]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = ((before[0] + 1) / before[1]) / ((before[2] + 1) / before[3])
        ratio = np.where((before[1] == 0) | (before[3] == 0), 3 * margin, ratio)
        ratio = np.clip(ratio, 1.05 * margin, 100 * margin)
        share = green / (green + blue)
        spread = np.log((ratio * share + 1 - share) / (margin * share + 1 - share))
        return np.where(
            (green > 0) & (blue > 0), green_bad * np.log(ratio / margin) - (green_bad + blue_bad) * spread, 0
        )


def one_cell(job: tuple[int, Cell, int]) -> tuple[Cell, dict[str, tuple[float, float]]]:
    """Return detection and mean bins by bet."""
    number, cell, count = job
    runs = simulate(cell, count, number)
    found = {}
    for name, bet in [*BETS.items(), (PLUG_IN, None)]:
        fires = evidence(runs, bet) >= 2
        hit = fires.any(axis=1)
        found[name] = (float(hit.mean()), float(np.where(hit, fires.argmax(axis=1) + 1, BINS).mean() - cell.onset))
    return cell, found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=150)
    count = parser.parse_args().runs
    with Pool(2) as pool:
        cells = pool.map(one_cell, [(DEFECT_FROM + n, c, count) for n, c in enumerate(defect_cells())], chunksize=5)
    live = [(cell, found) for cell, found in cells if max(hit for hit, _ in found.values()) >= 0.1]
    print("| bet | all | " + " | ".join(dict.fromkeys(cell.kind for cell, _ in live)) + " |")
    for name in [*BETS, PLUG_IN]:
        groups = defaultdict(list)
        for cell, found in live:
            groups["all"].append(found[name])
            groups[cell.kind].append(found[name])
        means = [tuple(np.mean(each, axis=0)) for each in groups.values()]
        print(f"| {name} | " + " | ".join(f"{hit:.1%}, {bins:.1f}" for hit, bins in means) + " |")


if __name__ == "__main__":
    main()
