"""Charts as inline SVG: lines over time, marks, a bar to reach; each with its text alternative."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 480, 220
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 30, 32


@dataclass(frozen=True)
class Series:
    """One line: a name, a style class, and (seconds, value) points; None breaks the line."""

    name: str
    style: str
    points: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True)
class Mark:
    """A moment that is drawn as a vertical line with a word on it."""

    seconds: float
    word: str


@dataclass(frozen=True)
class Band:
    """A span in which traffic moved, shaded: it was not judged."""

    begin: float
    end: float


@dataclass(frozen=True)
class Chart:
    """What one chart shows. ticks: values with a line across. bar: a value with a name that something must reach.

    description: the text alternative, what a reader would see in the picture.
    """

    key: str
    title: str
    description: str
    series: tuple[Series, ...]
    low: float
    high: float
    ticks: tuple[float, ...]
    write: Callable[[float], str]
    marks: tuple[Mark, ...] = ()
    bands: tuple[Band, ...] = ()
    bar: tuple[float, str] | None = None


def render_chart(chart: Chart) -> str:
    """Return the chart as one `<svg>`."""
    scale = _Scale(chart)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{chart.key}-t {chart.key}-d">',
        f'<title id="{chart.key}-t">{escape(chart.title)}</title>',
        f'<desc id="{chart.key}-d">{escape(chart.description)}</desc>',
        *(_band(one, scale) for one in chart.bands),
        *(_tick(value, chart, scale) for value in chart.ticks),
        *_clock(scale),
        *(_mark(one, number, scale) for number, one in enumerate(chart.marks)),
        *([_bar(*chart.bar, scale)] if chart.bar else []),
        *(_line(one, scale) for one in chart.series),
        *_legend(chart.series),
        "</svg>",
    ]
    return "".join(parts)


def nice_ticks(high: float) -> tuple[float, ...]:
    """Return about four round values from 0 to at least `high`."""
    if high <= 0:
        return (0.0, 0.01)
    magnitude = 10.0 ** (math.floor(math.log10(high)) - 1)
    step = next(size * magnitude for size in (1, 2, 5, 10, 20, 50, 100) if high / (size * magnitude) <= 4)
    # 1e-9: a quotient such as 4.000000000000001 is 4
    return tuple(step * number for number in range(math.ceil(high / step - 1e-9) + 1))


class _Scale:
    """From seconds and values to the picture's coordinates."""

    def __init__(self, chart: Chart) -> None:
        moments = [seconds for one in chart.series for seconds, _ in one.points]
        moments += [one.seconds for one in chart.marks] + [one.end for one in chart.bands]
        self.first, self.last = min([0.0, *moments]), max([1.0, *moments])
        self.low, self.high = chart.low, max(chart.high, chart.low + 1e-9)

    def x(self, seconds: float) -> float:
        part = (seconds - self.first) / (self.last - self.first)
        return round(LEFT + part * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        part = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM), 1)


def _line(series: Series, scale: _Scale) -> str:
    runs: list[list[tuple[float, float]]] = [[]]
    for seconds, value in series.points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append((scale.x(seconds), scale.y(value)))
    lines = [
        f'<polyline class="line {series.style}" points="{" ".join(f"{x},{y}" for x, y in run)}"/>'
        for run in runs
        if len(run) > 1
    ]
    few = sum(map(len, runs)) <= 60
    dots = [_dot(series.style, x, y) for run in runs for x, y in run if few or len(run) == 1]
    return "".join(lines + dots)


def _dot(style: str, x: float, y: float) -> str:
    """Blue is round, green is square: the two must differ for eyes that see no colours."""
    if style == "green":
        return f'<rect class="dot {style}" x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6"/>'
    return f'<circle class="dot {style}" cx="{x}" cy="{y}" r="3"/>'


def _tick(value: float, chart: Chart, scale: _Scale) -> str:
    y = scale.y(value)
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
        f'<text class="label" x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{escape(chart.write(value))}</text>'
    )


def _clock(scale: _Scale) -> list[str]:
    span = scale.last - scale.first
    step = next((one for one in (5, 10, 20, 60, 120, 300, 600, 1800, 3600) if span / one <= 7), 7200)
    first = -int(-scale.first // step) * step
    labels = []
    seconds = first
    while seconds <= scale.last:
        word = f"{seconds:.0f} s" if step < 60 else f"{seconds / 60:.0f} min"
        x = scale.x(seconds)
        labels.append(f'<text class="label" x="{x}" y="{HEIGHT - 12}" text-anchor="middle">{word}</text>')
        seconds += step
    return labels


def _band(band: Band, scale: _Scale) -> str:
    x = scale.x(band.begin)
    width = max(1.0, scale.x(band.end) - x)
    return f'<rect class="band" x="{x}" y="{TOP}" width="{width:.1f}" height="{HEIGHT - TOP - BOTTOM}"/>'


def _mark(mark: Mark, number: int, scale: _Scale) -> str:
    x = scale.x(mark.seconds)
    anchor = "end" if x > WIDTH * 0.7 else "start"
    shift = -4 if anchor == "end" else 4
    # neighbours stand on lines of their own
    y = TOP + 12 + 14 * (number % 4)
    return (
        f'<line class="mark" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text class="label" x="{x + shift}" y="{y}" text-anchor="{anchor}">{escape(mark.word)}</text>'
    )


def _bar(value: float, name: str, scale: _Scale) -> str:
    y = scale.y(value)
    return (
        f'<line class="bar" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
        f'<text class="label strong" x="{WIDTH - RIGHT}" y="{y - 4}" text-anchor="end">{escape(name)}</text>'
    )


def _legend(series: Sequence[Series]) -> list[str]:
    parts, x = [], float(LEFT)
    for one in series:
        parts.append(_dot(one.style, x + 4, 14))
        parts.append(f'<text class="label" x="{x + 14}" y="18">{escape(one.name)}</text>')
        x += 30 + 7.5 * len(one.name)
    return parts
