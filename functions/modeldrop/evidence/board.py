"""What the charts of a rollout show: traffic, rates with intervals, latency and evidence over one time axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from modeldrop.evidence.charts import Axis, Line, Mark, Panel, Range, Span, nice_ticks, render_board
from modeldrop.evidence.intervals import rate_interval
from modeldrop.evidence.plain import plain
from modeldrop.judge.answers import AnswerBin
from modeldrop.judge.bins import Bin, Counts
from modeldrop.judge.verdict import odds
from modeldrop.judge.words import percent

Metric = Literal["errors", "slow"]
# evidence below one in a thousand is drawn at the bottom: how sure it is of green does not matter
LOWEST_LOG10 = -3.0
# and above a hundred thousand it is proof enough: the line stays at the top
HIGHEST_LOG10 = 5.0
# intervals are drawn at this many moments at most: the eye sees no more, and each costs a little time
MAX_INTERVALS = 120
FLEETS: tuple[Literal["blue", "green"], ...] = ("blue", "green")
NAMES = {"blue": "blue, the old model", "green": "green, the new model"}


def render_rollout(
    card: Mapping[str, Any], bins: Sequence[Bin], marks: Sequence[Mark], answers: Sequence[AnswerBin] = ()
) -> str:
    """Return the board; empty without bins. marks: in order, counted in seconds since `origin`."""
    if not bins:
        return ""
    began = origin(card, bins)
    ends = [seconds(bins[-1].end, began), *(one.seconds for one in marks)]
    if card["finished_at"]:
        ends.append(seconds(datetime.fromisoformat(card["finished_at"]), began))
    axis = Axis(min(0.0, seconds(bins[0].start, began)), max(ends))
    shifts = [Span(seconds(one.start, began), seconds(one.end, began)) for one in bins if one.shift]
    panels = [_share(card, bins, began), _rates("errors", "Error rate", card, bins, began)]
    if any(fleet is not None and fleet.slow is not None for one in bins for fleet in (one.blue, one.green)):
        limit = f", over {card['slow_ms']:.3g} ms" if card["slow_ms"] else ""
        panels.append(_rates("slow", f"Slow requests{limit}", card, bins, began))
    panels += _answers(card, answers, began)
    if card["latency"]:
        panels.append(_latency(card["latency"], began))
    if card["verdict"].get("path"):
        panels.append(_evidence(card["verdict"], began))
    return render_board(axis, _phases(card, began), panels, marks, shifts)


def origin(card: Mapping[str, Any], bins: Sequence[Bin]) -> datetime:
    """Return the moment that the axis calls 0: green's first traffic."""
    return datetime.fromisoformat(card["canary_started"]) if card["canary_started"] else bins[0].start


def marks_of(card: Mapping[str, Any], began: datetime) -> list[Mark]:
    """Return what happened, in order of time: canary, verdict, alarms, roll back, end."""
    told = [(card["canary_started"], "green got its first traffic")]
    told += [(at, f"{_word(what)} seen") for at, what in card["timeline"] if what in ("final_bake", "shifting")]
    if card["verdict"].get("decided_at"):
        told.append((card["verdict"]["decided_at"], f"evidence reached {card['verdict']['bar']}: verdict bad"))
    told += [(one["at"], f"alarm {one['name'].removeprefix(card['release'] + '-')} fired") for one in card["alarms"]]
    told += [(card["rolling_back_since"], "SageMaker seen rolling back"), (card["finished_at"], "release over")]
    found = [Mark(seconds(datetime.fromisoformat(at), began), plain(word, 80)) for at, word in told if at]
    return sorted(found, key=lambda one: one.seconds)


def seconds(moment: datetime, began: datetime) -> float:
    """Return how long after the axis' 0 a moment lies."""
    return (moment - began).total_seconds()


def bad_of(counts: Counts, metric: Metric) -> int | None:
    """Return the bad requests of a metric, cut to the requests as the judge does; None: not known."""
    found = counts.errors if metric == "errors" else counts.slow
    return None if found is None else min(found, counts.requests)


def _word(phase: str) -> str:
    return phase.replace("_", " ")


def _phases(card: Mapping[str, Any], began: datetime) -> list[Span]:
    steps = [(seconds(datetime.fromisoformat(at), began), _word(what)) for at, what in card["timeline"]]
    ended = seconds(datetime.fromisoformat(card["finished_at"]), began) if card["finished_at"] else math.inf
    ends = [*(at for at, _ in steps), ended][1:]
    return [Span(at, end, plain(what, 40)) for (at, what), end in zip(steps, ends, strict=True)]


def _middle(one: Bin, began: datetime) -> float:
    return seconds(one.start + timedelta(seconds=one.seconds / 2), began)


def _share(card: Mapping[str, Any], bins: Sequence[Bin], began: datetime) -> Panel:
    points: list[tuple[float, float | None]] = []
    for one in bins:
        green, blue = (fleet.requests if fleet else 0 for fleet in (one.green, one.blue))
        points.append((_middle(one, began), green / (green + blue) if green + blue else None))
    known = [value for _, value in points if value is not None]
    planned = card["canary_instances"] / card["instance_count"] if card["canary_instances"] else None
    told = f"{percent(known[0])} in the first period, {percent(known[-1])} in the last." if known else "no data."
    ticks = nice_ticks(min(1.0, max([*known, planned or 0.0], default=0.0)))
    return Panel(
        key="share",
        title="Traffic on green",
        note="share of all requests",
        description=f"Green's share of the requests: {told}"
        + (f" Planned for the canary: {percent(planned)}." if planned else ""),
        lines=(Line("green", tuple(points)),),
        low=0.0,
        high=ticks[-1],
        ticks=_few(ticks),
        write=percent,
        bar=(planned, f"canary: {percent(planned)}") if planned else None,
    )


def _answers(card: Mapping[str, Any], answers: Sequence[AnswerBin], began: datetime) -> list[Panel]:
    """Return how often both fleets gave the answer that tells most; nothing where answers were not judged."""
    drift = next((one for one in card["verdict"].get("metrics", ()) if one["metric"] == "drift"), None)
    if drift is None or not answers:
        return []
    name = drift["answer"]
    # as rates are drawn: the requests are the answers, and the bad ones those of this class
    told = [
        Bin(one.start, one.seconds, _of_class(one.blue, name), _of_class(one.green, name), shift=one.shift)
        for one in answers
    ]
    return [_rates("errors", f"Answer \u201c{plain(name, 60)}\u201d", card, told, began, key="drift")]


def _of_class(counts: Mapping[str, int] | None, name: str) -> Counts | None:
    return None if counts is None else Counts(sum(counts.values()), counts.get(name, 0))


def _rates(
    metric: Metric, title: str, card: Mapping[str, Any], bins: Sequence[Bin], began: datetime, key: str = ""
) -> Panel:
    alpha = (card["policy"].get("judge") or {}).get("alpha", 0.01)
    lines, ranges, told, values = [], [], [], []
    for name in FLEETS:
        dots = tuple(_in_each_bin(metric, name, bins, began))
        so_far, around = _so_far(metric, name, bins, began, alpha, card["clump"])
        lines += [Line(f"{name} dots", dots), Line(name, tuple(so_far))]
        ranges.append(Range(name, tuple(around)))
        values += [value for _, value in (*dots, *so_far) if value is not None]
        last = around[-1] if around else None
        told.append(
            f"{NAMES[name]}: {percent(so_far[-1][1])} so far, between {percent(last[1])} and {percent(last[2])}."
            if last
            else f"{NAMES[name]}: no data."
        )
    # the interval of the first few requests spans everything and would press the rates to the floor
    upper = max((one.points[-1][2] for one in ranges if one.points), default=0.0)
    ticks = nice_ticks(min(1.0, max([upper, *values], default=0.0)))
    return Panel(
        key=key or metric,
        title=title,
        note="",
        description=f"{title}. {' '.join(told)}",
        lines=tuple(lines),
        low=0.0,
        high=ticks[-1],
        ticks=_few(ticks),
        write=percent,
        ranges=tuple(ranges),
    )


def _in_each_bin(
    metric: Metric, fleet: Literal["blue", "green"], bins: Sequence[Bin], began: datetime
) -> list[tuple[float, float | None]]:
    found: list[tuple[float, float | None]] = []
    for one in bins:
        counts: Counts | None = getattr(one, fleet)
        bad = None if counts is None else bad_of(counts, metric)
        known = counts is not None and counts.requests > 0 and bad is not None
        found.append((_middle(one, began), bad / counts.requests if known and counts and bad is not None else None))
    return found


def _so_far(
    metric: Metric, fleet: Literal["blue", "green"], bins: Sequence[Bin], began: datetime, alpha: float, clump: int
) -> tuple[list[tuple[float, float | None]], list[tuple[float, float, float]]]:
    """Return the rate over all bins up to each one, and its interval; bins in which traffic moved do not count."""
    bad = requests = 0
    line: list[tuple[float, float | None]] = []
    around: list[tuple[float, float, float]] = []
    stride = max(1, math.ceil(len(bins) / MAX_INTERVALS))
    for number, one in enumerate(bins):
        counts: Counts | None = getattr(one, fleet)
        found = None if counts is None else bad_of(counts, metric)
        at = seconds(one.end, began)
        if one.shift or at <= 0 or counts is None or found is None:
            line.append((at, None))
            continue
        bad, requests = bad + found, requests + counts.requests
        line.append((at, bad / requests if requests else None))
        if requests and (number % stride == 0 or number == len(bins) - 1):
            around.append((at, *rate_interval(bad, requests, alpha, clump)))
    while line and line[-1][1] is None:
        line.pop()
    return line, around


def _latency(latency: Mapping[str, Any], began: datetime) -> Panel:
    begin = seconds(datetime.fromisoformat(latency["since"]), began)
    lines, told, values = [], [], []
    for name in FLEETS:
        fleet = latency[name]
        for stat, style in (("p50", name), ("p99", f"{name} dashed")):
            series = fleet[stat] if fleet else []
            points = [
                (begin + latency["every"] * (number + 0.5), math.log10(max(0.01, ms)) if ms is not None else None)
                for number, ms in enumerate(series)
            ]
            lines.append(Line(style, tuple(points)))
            values += [value for _, value in points if value is not None]
        told.append(f"{NAMES[name]}: {latency_words(fleet)}.")
    low, high = math.floor(min(values, default=0.0)), math.ceil(max(values, default=3.0))
    ticks = tuple(float(one) for one in range(low, max(high, low + 1) + 1))
    return Panel(
        key="latency",
        title="Model latency",
        note="line: p50; dashed: p99; logarithmic",
        description=f"Latency of the model, on a logarithmic scale. {' '.join(told)}",
        lines=tuple(lines),
        low=ticks[0],
        high=ticks[-1],
        ticks=ticks,
        write=lambda log10: milliseconds(10**log10),
    )


def milliseconds(value: float) -> str:
    """Write a latency with a unit a person would choose."""
    return f"{value / 1000:.3g} s" if value >= 1000 else f"{value:.3g} ms"


def latency_words(fleet: Mapping[str, Sequence[float | None]] | None) -> str:
    """Say what a fleet's latency was: the middle one of the periods' p50, the worst of their p99."""
    p50 = sorted(one for one in (fleet or {}).get("p50", ()) if one is not None)
    p99 = [one for one in (fleet or {}).get("p99", ()) if one is not None]
    if not p50 or not p99:
        return "not known"
    return f"p50 {milliseconds(p50[len(p50) // 2])}, worst p99 {milliseconds(max(p99))}"


def _evidence(verdict: Mapping[str, Any], began: datetime) -> Panel:
    path = [(datetime.fromisoformat(at), float(log10)) for at, log10 in verdict["path"]]
    # before anything is seen nothing speaks for or against green: odds of one to one
    points = ((0.0, 0.0), *((seconds(at, began), log10) for at, log10 in path))
    bar, most = float(verdict["log10_bar"]), max(log10 for _, log10 in points)
    highest = max(bar, min(HIGHEST_LOG10, most))
    lowest = max(LOWEST_LOG10, min([0.0, *(log10 for _, log10 in points)]))
    step = max(1, math.ceil((highest - lowest) / 4))
    ticks = tuple(float(value) for value in range(math.ceil(lowest), int(highest) + 1, step))
    told = (
        f"Evidence that green is worse than it may be, on a logarithmic scale: at most {odds(most)}, "
        f"at the end {odds(points[-1][1])}; a roll back needs {odds(bar)}."
    )
    return Panel(
        key="evidence",
        title="Evidence against green",
        note="odds; logarithmic",
        description=told,
        lines=(Line("evidence", points), Line("evidence dots", points[1:] if len(points) < 60 else ())),
        low=lowest,
        high=highest + 0.4,
        ticks=ticks,
        write=_power,
        bar=(bar, f"{odds(bar)} rolls back"),
    )


def _power(log10: float) -> str:
    """Write a tick of the evidence: `1:10`, `1:1`, `10k:1`."""
    times = 10 ** abs(log10)
    short = f"{times / 1000:.0f}k" if times >= 1000 else f"{times:.0f}"
    return f"{short}:1" if log10 >= 0 else f"1:{short}"


def _few(ticks: tuple[float, ...]) -> tuple[float, ...]:
    """Return the ends and the middle: a low panel has no room for more."""
    return ticks if len(ticks) <= 3 else (ticks[0], ticks[len(ticks) // 2], ticks[-1])
