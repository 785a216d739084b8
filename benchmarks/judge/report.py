"""Tables and plots from results.json: what each method found, how soon, and what its false alarms cost."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.judge.binomial import upper_limit

TABLES = {
    "shipped": "(a) As shipped",
    "one_knob": "(b) One knob a method, set once for all cells",
    "per_cell": "(c) One knob a method and traffic",
}
NEAR = 0.05
COMMAND = "python -m benchmarks.judge.run --null-runs {null_runs} --runs {runs}"
Found = dict[str, Any]


def kind_of(cell: Found) -> str:
    """Name a cell's defect with its size."""
    sized = cell["kind"] in ("step", "late", "latency", "leak")
    return f"{cell['kind']} {cell['effect']:g}x" if sized else cell["kind"].replace("_", " ")


def standing(defects: list[Found], table: str, measure: str, cells: str = "all") -> dict[str, tuple[int, int]]:
    """Return for each method in how many of the cells that anyone finds half of the time it is best or near best.

    Near: within 5 points of detection (5% of the best harm), or two standard errors of the difference.
    """
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one in defects:
        found = one["tables"][table]
        if max(each["detected"] for each in found.values()) < 0.5 or cells not in ("all", one["cell"]["kind"]):
            continue
        for name in found:
            counts[name][1] += 1
            counts[name][0] += is_near(found, name, measure, one["runs"])
    return {name: (near, total) for name, (near, total) in counts.items()}


def is_near(found: dict[str, Found], name: str, measure: str, runs: int) -> bool:
    """Say whether a method is best in a cell, or within the allowance."""
    own = found[name]
    if measure == "detected":
        best = max(each["detected"] for each in found.values())
        spread = math.sqrt(best * (1 - best) / runs + own["detected"] * (1 - own["detected"]) / runs)
        return bool(own["detected"] >= best - max(NEAR, 2 * spread))
    winner = min(found.values(), key=lambda each: each["harm"])
    spread = math.hypot(own["harm_se"], winner["harm_se"])
    return bool(own["harm"] <= winner["harm"] + max(NEAR * winner["harm"], 2 * spread))


def write_report(out: Path) -> None:
    """Write README.md and the plots beside results.json."""
    results = json.loads((out / "results.json").read_text())
    for one in results["defects"] + results["margin"]:
        one["runs"] = results["runs"]
    (out / "cells.csv").write_text("\n".join(every_cell(results)) + "\n")
    (out / "README.md").write_text("\n".join(page(results)) + "\n")
    from benchmarks.judge.plots import write_plots

    write_plots(results, out)


def every_cell(results: Found) -> list[str]:
    """Return table (b) cell by cell: detection and harm of each method."""
    names = list(results["knobs"])
    lines = ["defect,requests_per_second,share,baseline," + ",".join(f"{name} detected,{name} harm" for name in names)]
    for one in results["defects"]:
        cell, found = one["cell"], one["tables"]["one_knob"]
        where = f"{kind_of(cell)},{cell['requests_per_second']:g},{cell['share']:g},{cell['baseline']:g}"
        lines.append(
            where + "," + ",".join(f"{found[name]['detected']:.3g},{found[name]['harm']:.4g}" for name in names)
        )
    return lines


def page(results: Found) -> list[str]:
    """Return the page's lines."""
    names = list(results["knobs"])
    lines = [
        "# The judge against what people use",
        f"Made by `{COMMAND.format(**results)}`, seed {results['seed']}: {len(results['nulls'])} null cells with "
        f"{results['null_runs']} rollouts each, {len(results['defects'])} cells with a defect with {results['runs']}; "
        "every method judges the same rollouts. `benchmarks/judge/cells.py` holds nulls and grid; they and the seed "
        "were committed before anything was tuned. Bakes of 30 one-minute bins; all methods wait 90 s for the metrics, "
        "5% of the bins are revised later, and the first minute is left out for slow requests. Detected: rolled back "
        "in the bake, and not before the defect began. Delay: minutes from onset until all traffic is back, a miss "
        "counts as the rest of the bake. Harm: expected bad requests above blue's rate until then; a miss is charged "
        "one hour at 100% of the traffic.",
        "",
        *bar_lines(results["bar"]),
        *false_alarm_lines(results, names),
    ]
    for table, title in TABLES.items():
        lines += table_lines(results, names, table, title)
    lines += ["[cells.csv](cells.csv) has table (b) cell by cell.", ""]
    return [*lines, *loss_lines(results), *end_lines(results), "![Detection and delay](detection.png)", "",
            "![False alarms](false_alarms.png)"]  # fmt: skip


def bar_lines(bar: dict[str, Found]) -> list[str]:
    """Return the table of the single case that has a bar of its own."""
    rows = [
        f"| {clock} | {one['median_minutes']:.1f} min | {one['within_12_min']:.1%} | {one['within_20_min']:.1%} |"
        for clock, one in bar.items()
    ]
    return [
        "## 0.5 requests/s, 10% share, errors 0.5% -> 20%, the judge as shipped",
        "From green's first request, 8,000 rollouts; wanted: half within 12 minutes, 94% within 20. The canary begins "
        "at any moment of a period; the rest of that period is a shift bin and is not judged.",
        "", "| until | median | within 12 min | within 20 min |", "|---|---|---|---|", *rows, "",
    ]  # fmt: skip


def false_alarm_lines(results: Found, names: list[str]) -> list[str]:
    """Return the knobs and the worst null of each method."""
    runs, kinds = results["null_runs"], _kinds(results["nulls"])
    lines = [
        "## False alarms as shipped, and the knob of table (b)",
        "Worst and mean over the null cells, in brackets the 95% upper limit of the worst; by kind the worst cell. The "
        "knob is the lowest with which the upper limit is 1% or less in every null cell.",
        "", f"| method | knob | shipped | (b) | worst null | mean | {' | '.join(kinds)} |",
        "|---|---|---|---|---|---|" + "---|" * len(kinds),
    ]  # fmt: skip
    for name in names:
        knob = results["knobs"][name]
        worst: dict[str, int] = defaultdict(int)
        for one in results["nulls"]:
            worst[one["cell"]["kind"]] = max(worst[one["cell"]["kind"]], one["false_alarms"][name])
        top, whole = max(worst.values()), sum(one["false_alarms"][name] for one in results["nulls"])
        lines.append(
            f"| {name} | {knob['knob']} | {knob['shipped']:.3g} | {knob['one_knob']:.3g} | {top / runs:.1%} "
            f"({upper_limit(top, runs):.1%}) | {whole / runs / len(results['nulls']):.2%} | "
            + " | ".join(f"{worst[kind] / runs:.1%}" for kind in kinds) + " |"
        )  # fmt: skip
    edge = [one["tables"]["shipped"]["judge"]["detected"] for one in results["margin"]]
    whole_counts = [one["never_revised"] for one in results["margin"]]
    return [
        *lines, "",
        f"Green worse by exactly the margin (1.5x), which is our own null and no other method's: the judge rolls back "
        f"{sum(whole_counts) / len(edge):.2%} on average and {max(whole_counts):.1%} in the worst of {len(edge)} cells "
        f"where counts are complete when they are read; with the late revisions {sum(edge) / len(edge):.2%} and "
        f"{max(edge):.1%}: a minute in which 30% of blue's errors are missing looks like a green twice as bad.", "",
    ]  # fmt: skip


def table_lines(results: Found, names: list[str], table: str, title: str) -> list[str]:
    """Return one table: by defect, each method's mean detection, delay and harm."""
    groups: dict[str, list[Found]] = defaultdict(list)
    for one in results["defects"]:
        groups[kind_of(one["cell"])].append(one)
    lines = [f"## {title}", "Mean over all traffics: detected, delay in minutes, harm against the least harm of any "
             "method (geometric mean over cells).", "",
             "| defect | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]  # fmt: skip
    for kind, cells in groups.items():
        row = []
        for name in names:
            own = [one["tables"][table][name] for one in cells]
            detected = sum(one["detected"] for one in own) / len(own)
            delay = sum(one["delay"] for one in own) / len(own) / 60
            row.append(f"{detected:.0%}, {delay:.1f}, {_times(cells, table, name):.2g}x")
        lines.append(f"| {kind} | " + " | ".join(row) + " |")
    for measure, words in (("detected", "by detection"), ("harm", "by harm")):
        row = []
        for name in names:
            near, total = standing(results["defects"], table, measure)[name]
            row.append(f"{near} of {total} ({near / total:.0%})")
        lines.append(f"| **best or near, {words}** | " + " | ".join(row) + " |")
    return [*lines, ""]


def loss_lines(results: Found) -> list[str]:
    """Return the cells of table (b) in which the judge is beaten."""
    lines = ["## Where the judge loses in (b)", "Cells that any method finds half of the time and in which the judge "
             "is not within the allowance of the best (5%, or two standard errors).", "",
             "| by | defect | requests/s | share | blue's rate | judge | best |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for measure in ("detected", "harm"):
        for one in results["defects"]:
            found, cell = one["tables"]["one_knob"], one["cell"]
            if max(each["detected"] for each in found.values()) < 0.5:
                continue
            if is_near(found, "judge", measure, one["runs"]):
                continue
            pick = max if measure == "detected" else min
            name = pick(found, key=lambda each: found[each][measure])
            shown = "{:.0%}" if measure == "detected" else "{:.3g}"
            lines.append(
                f"| {measure} | {kind_of(cell)} | {cell['requests_per_second']:g} | {cell['share']:.0%} | "
                f"{cell['baseline']:.1%} | {shown.format(found['judge'][measure])} | "
                f"{name} {shown.format(found[name][measure])} |"
            )
    return [*lines, ""]


def end_lines(results: Found) -> list[str]:
    """Return how often the judge ends without knowing, by traffic."""
    groups: dict[float, list[Found]] = defaultdict(list)
    for one in results["nulls"]:
        if one["cell"]["kind"] == "iid":
            groups[one["cell"]["requests_per_second"]].append(one["ends"])
    lines = ["## How the judge ends when nothing is wrong", "Mean over shares and baselines (`iid`), as shipped.", "",
             "| requests/s | safe | inconclusive | blind |", "|---|---|---|---|"]  # fmt: skip
    for rps, ends in groups.items():
        unsure, blind = (sum(one[name] for one in ends) / len(ends) for name in ("inconclusive", "blind"))
        lines.append(f"| {rps:g} | {1 - unsure - blind:.0%} | {unsure:.0%} | {blind:.1%} |")
    return [*lines, ""]


def _times(cells: list[Found], table: str, name: str) -> float:
    logs = []
    for one in cells:
        found = one["tables"][table]
        least = min(each["harm"] for each in found.values())
        if least > 0:
            logs.append(math.log(max(found[name]["harm"], least) / least))
    return math.exp(sum(logs) / len(logs)) if logs else 1.0


def _kinds(nulls: list[Found]) -> list[str]:
    return list(dict.fromkeys(one["cell"]["kind"] for one in nulls))
