"""Panels over one time axis: what is drawn is stretched SVG, words are HTML that keeps its size on any screen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

# the drawing is stretched to the width there is; strokes keep theirs (vector-effect)
WIDTH, HEIGHT = 1000, 100
# tags of marks nearer than this part of the width would cover each other on a phone
NEAR = 0.055
TAG_ROWS = 3


@dataclass(frozen=True)
class Axis:
    """The span of seconds since the canary began that all panels share."""

    first: float
    last: float

    def part(self, seconds: float) -> float:
        """Return where a moment lies, 0 left to 1 right."""
        return min(1.0, max(0.0, (seconds - self.first) / max(1e-9, self.last - self.first)))

    def ticks(self) -> list[tuple[float, str]]:
        """Return at most seven round moments with their words."""
        span = self.last - self.first
        step = next((one for one in (5, 10, 20, 60, 120, 300, 600, 1800, 3600) if span / one <= 6), 7200)
        begin = math.ceil(self.first / step)
        moments = [number * step for number in range(begin, math.floor(self.last / step) + 1)]
        return [(one, f"{one} s" if step < 60 else f"{one // 60} min") for one in moments]


@dataclass(frozen=True)
class Line:
    """(seconds, value) points; None breaks the line. style: blue, green or evidence, with `dots` for dots alone."""

    style: str
    points: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True)
class Range:
    """(seconds, low, high): the interval around a line."""

    style: str
    points: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Mark:
    """A moment with a number, drawn through all panels, and the words that the list below gives it."""

    seconds: float
    word: str


@dataclass(frozen=True)
class Span:
    """A stretch of time with a name: a phase, or traffic that moved."""

    begin: float
    end: float
    word: str = ""


@dataclass(frozen=True)
class Panel:
    """One chart. ticks: values with a line across. bar: a value with a name. description: the picture in words."""

    key: str
    title: str
    note: str
    description: str
    lines: tuple[Line, ...]
    low: float
    high: float
    ticks: tuple[float, ...]
    write: Callable[[float], str]
    ranges: tuple[Range, ...] = ()
    bar: tuple[float, str] | None = None


def render_board(axis: Axis, phases: Sequence[Span], panels: Sequence[Panel], marks: Sequence[Mark],
                 shifts: Sequence[Span]) -> str:  # fmt: skip
    """Return the panels under each other, phases on top, marks through all of them."""
    clock = "".join(f'<span style="left:{axis.part(at):.2%}">{word}</span>' for at, word in axis.ticks())
    return (
        f'<div class="board">{_marks(axis, marks)}<div class="tags"></div>{_strip(axis, phases)}'
        f"{''.join(_panel(one, axis, shifts) for one in panels)}"
        f'<div class="clock" aria-hidden="true">{clock}</div></div>'
    )


def nice_ticks(high: float) -> tuple[float, ...]:
    """Return about four round values from 0 to at least `high`."""
    if high <= 0:
        return (0.0, 0.01)
    magnitude = 10.0 ** (math.floor(math.log10(high)) - 1)
    step = next(size * magnitude for size in (1, 2, 5, 10, 20, 50, 100) if high / (size * magnitude) <= 4)
    # 1e-9: a quotient such as 4.000000000000001 is 4
    return tuple(step * number for number in range(math.ceil(high / step - 1e-9) + 1))


def _panel(panel: Panel, axis: Axis, shifts: Sequence[Span]) -> str:
    scale = _Scale(panel, axis)
    drawn = [
        *(_shift(one, axis) for one in shifts),
        *(f'<path class="grid" d="M0 {scale.y(value)}H{WIDTH}"/>' for value in panel.ticks),
        *(_range(one, scale) for one in panel.ranges),
        *([f'<path class="bar" d="M0 {scale.y(panel.bar[0])}H{WIDTH}"/>'] if panel.bar else []),
        *(_line(one, scale) for one in panel.lines),
    ]
    words = [
        f'<span class="y" style="top:{scale.y(value):.1f}%">{escape(panel.write(value))}</span>'
        for value in panel.ticks
    ]
    if panel.bar:
        words.append(f'<span class="barname" style="top:{scale.y(panel.bar[0]):.1f}%">{escape(panel.bar[1])}</span>')
    return (
        f'<div class="panel {panel.key}"><h3>{escape(panel.title)}<small>{escape(panel.note)}</small></h3>'
        f'<div class="plot">'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-labelledby="{panel.key}-t {panel.key}-d"><title id="{panel.key}-t">{escape(panel.title)}</title>'
        f'<desc id="{panel.key}-d">{escape(panel.description)}</desc>{"".join(drawn)}</svg>'
        f'<div aria-hidden="true">{"".join(words)}</div></div></div>'
    )


class _Scale:
    """From seconds and values to the drawing's coordinates."""

    def __init__(self, panel: Panel, axis: Axis) -> None:
        self.axis, self.low, self.high = axis, panel.low, max(panel.high, panel.low + 1e-9)

    def x(self, seconds: float) -> float:
        return round(self.axis.part(seconds) * WIDTH, 1)

    def y(self, value: float) -> float:
        part = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(HEIGHT - part * HEIGHT, 1)


def _line(line: Line, scale: _Scale) -> str:
    runs: list[list[str]] = [[]]
    for seconds, value in line.points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append(f"{scale.x(seconds)} {scale.y(value)}")
    dots = line.style.endswith("dots")
    # a stroke of hardly any length with a round or square end is a dot that stretching does not bend
    paths = [f"M{point}h.01" for run in runs for point in run if dots or len(run) == 1]
    drawn = f'<path class="dots {line.style}" d="{"".join(paths)}"/>' if paths else ""
    if not dots:
        drawn += "".join(f'<path class="line {line.style}" d="M{"L".join(run)}"/>' for run in runs if len(run) > 1)
    return drawn


def _range(one: Range, scale: _Scale) -> str:
    if len(one.points) < 2:
        return "".join(
            f'<path class="whisker {one.style}" d="M{scale.x(at)} {scale.y(low)}V{scale.y(high)}"/>'
            for at, low, high in one.points
        )
    there = [f"{scale.x(at)} {scale.y(high)}" for at, _, high in one.points]
    back = [f"{scale.x(at)} {scale.y(low)}" for at, low, _ in reversed(one.points)]
    return f'<path class="range {one.style}" d="M{"L".join(there + back)}Z"/>'


def _shift(span: Span, axis: Axis) -> str:
    x = round(axis.part(span.begin) * WIDTH, 1)
    width = max(1.0, round(axis.part(span.end) * WIDTH, 1) - x)
    return f'<rect class="shift" x="{x}" y="0" width="{width:.1f}" height="{HEIGHT}"/>'


def _marks(axis: Axis, marks: Sequence[Mark]) -> str:
    rows = [-1.0] * TAG_ROWS
    drawn = []
    for number, one in enumerate(marks, start=1):
        at = axis.part(one.seconds)
        row = next((row for row, last in enumerate(rows) if at - last >= NEAR), TAG_ROWS - 1)
        rows[row] = at
        drawn.append(f'<i style="left:{at:.2%}"><b class="row{row}">{number}</b></i>')
    return f'<div class="marks" aria-hidden="true">{"".join(drawn)}</div>'


def _strip(axis: Axis, phases: Sequence[Span]) -> str:
    drawn = []
    for number, one in enumerate(phases):
        begin, end = axis.part(one.begin), axis.part(one.end)
        if end > begin:
            drawn.append(
                f'<span class="phase p{number % 2}" style="left:{begin:.2%};width:{end - begin:.2%}">'
                f"{escape(one.word)}</span>"
            )
    return f'<div class="strip" aria-hidden="true">{"".join(drawn)}</div>' if drawn else ""
