"""Plots of the comparison, PNG and SVG; matplotlib is in requirements/bench.in, not among the project's own tools."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

COLOURS = ("#0b6e4f", "#c1440e", "#7a7a7a", "#3d5a98", "#b8a000", "#8e4585", "#2a9d8f")


def write_plots(results: dict[str, Any], out: Path) -> None:
    """Write detection.{png,svg} and false_alarms.{png,svg}; says so and goes on where matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: no plots (requirements/bench.in)")
        return
    matplotlib.use("Agg")
    # the same file for the same figures
    matplotlib.rcParams["svg.hashsalt"] = "modeldrop"
    _detection(results, out)
    _false_alarms(results, out)


def _detection(results: dict[str, Any], out: Path) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(13, 4.2), sharey=True)
    for axis, (table, title) in zip(
        axes, (("shipped", "as shipped"), ("one_knob", "one knob, set once"), ("per_cell", "one knob a traffic")),
        strict=True,
    ):  # fmt: skip
        for colour, name in zip(COLOURS, results["knobs"], strict=True):
            groups = defaultdict(list)
            for one in results["defects"]:
                groups[one["cell"]["requests_per_second"]].append(one["tables"][table][name]["detected"])
            mean = [sum(each) / len(each) for each in groups.values()]
            axis.plot(
                list(groups), mean, marker="o", label=name, color=colour, linewidth=2.5 if name == "judge" else 1.2
            )
        axis.set(xscale="log", title=title, xlabel="requests/s of the endpoint", ylim=(-0.02, 1.02))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("defects found within the bake")
    axes[0].legend(fontsize=8)
    _save(figure, out / "detection")


def _false_alarms(results: dict[str, Any], out: Path) -> None:
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(9, 4.2))
    kinds = list(dict.fromkeys(one["cell"]["kind"] for one in results["nulls"]))
    width = 0.8 / len(results["knobs"])
    for at, (colour, name) in enumerate(zip(COLOURS, results["knobs"], strict=True)):
        worst = [
            max(one["false_alarms"][name] for one in results["nulls"] if one["cell"]["kind"] == kind)
            / results["null_runs"]
            for kind in kinds
        ]
        axis.bar([place + at * width for place in range(len(kinds))], worst, width, label=name, color=colour)
    axis.axhline(0.01, color="black", linewidth=0.8, linestyle="--")
    axis.set_xticks([place + 0.4 for place in range(len(kinds))], kinds)
    axis.set(ylabel="false alarms, worst traffic, as shipped")
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    _save(figure, out / "false_alarms")


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    figure.tight_layout()
    figure.savefig(path.with_suffix(".png"), dpi=110, metadata={"Software": None})
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
