"""Where a release is shown while it runs: redrawn on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from cli.console import OUTCOME_COLOURS, clean, console
from cli.looking import FleetLook, Look, state
from modeldrop.release.share import Share

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

PLAIN_EVERY_SECONDS = 10.0


class Screen(Protocol):
    """What shows looks and notes."""

    def show(self, look: Look) -> None:
        """Show the present state of a release."""

    def note(self, text: str, style: str = "") -> None:
        """Print a line that stays."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop drawing."""


def screen(*, plain: bool) -> Screen:
    """Return a screen: plain when asked, and where stdout is not a terminal."""
    return PlainScreen() if plain or not sys.stdout.isatty() else LiveScreen()


class PlainScreen:
    """Lines with the seconds since the start; a look is printed when the phase changes, and every ten seconds."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._shown: tuple[str, str] = ("", "")
        self._printed = 0.0

    def show(self, look: Look) -> None:
        """Print the look, unless nothing changed and the last line is young."""
        now, shown = time.monotonic(), (look.record.release, look.record.phase)
        if shown == self._shown and now - self._printed < PLAIN_EVERY_SECONDS:
            return
        self._shown, self._printed = shown, now
        pairs = (("green", look.green), ("blue", look.blue))
        parts = [share_line(look.share)] if look.share else []
        parts += [f"{name} {fleet_line(fleet)}" for name, fleet in pairs if fleet and fleet.requests is not None]
        self.note(f"{state(look.record):<12} {look.status:<10} {'; '.join(parts)}".rstrip())

    def note(self, text: str, style: str = "") -> None:
        """Print lines, in one piece: others may print at the same time."""
        stamp = f"{time.monotonic() - self._began:6.1f} s  "
        print("\n".join((stamp + line).rstrip() for line in clean(text).splitlines() or [""]), flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass


class LiveScreen:
    """A panel at the bottom of the terminal, redrawn; notes scroll above it."""

    def __init__(self) -> None:
        from rich.live import Live

        self._began = time.monotonic()
        self._live = Live(console=console(), auto_refresh=False, transient=True)

    def show(self, look: Look) -> None:
        """Redraw the panel."""
        self._live.update(panel(look, time.monotonic() - self._began), refresh=True)

    def note(self, text: str, style: str = "") -> None:
        """Print above the panel."""
        stamp = f"{time.monotonic() - self._began:6.1f} s  "
        indented = ("\n" + " " * len(stamp)).join(clean(text).splitlines())
        self._live.console.print(stamp + indented, style=style, markup=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()


def panel(look: Look, seconds: float) -> RenderableType:
    """Draw a look."""
    from rich import box
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False)
    for name in ("fleet", "release", "requests", "errors", "error rate", "p50", "p99"):
        table.add_column(name, justify="left" if name in ("fleet", "release") else "right")
    for name, colour, fleet in (("blue", "blue", look.blue), ("green", "green", look.green)):
        if fleet is not None:
            bad = (fleet.error_rate or 0) > 0.01
            style = "red" if bad else ""
            cells = [_count(fleet.requests), _count(fleet.errors), _rate(fleet.error_rate)]
            table.add_row(
                Text(name, style=colour),
                clean(fleet.config.removeprefix(f"{look.record.endpoint}-")),
                cells[0],
                Text(cells[1], style=style),
                Text(cells[2], style=style),
                _latency(fleet, fleet.p50_ms),
                _latency(fleet, fleet.p99_ms),
            )
    if look.blue is not None and look.blue.derived:
        table.caption = "~ of all traffic: SageMaker tells a fleet apart from its own rollout on"
    record = look.record
    title = Text.assemble(
        (f" {record.endpoint} ", "bold"),
        (f"{state(record)} ", OUTCOME_COLOURS.get(record.outcome or "", "cyan")),
        (f"({look.status}) {seconds:.0f} s ", "dim"),
    )
    return Panel(Group(_bar(look.share), table), title=title, title_align="left", box=box.ROUNDED)


def _bar(share: Share | None) -> Text:
    from rich.text import Text

    if share is None:
        return Text("traffic  not shared between two fleets", style="dim")
    if share.seen is None:
        return Text(f"traffic  {share_line(share)}", style="dim")
    width = 50
    # a fleet that has traffic is seen, however small its share
    least, most = (1 if share.seen > 0 else 0), (width - 1 if share.seen < 1 else width)
    green = min(most, max(least, round(share.seen * width)))
    return Text.assemble("traffic  ", ("█" * green, "green"), ("█" * (width - green), "blue"), f"  {share_line(share)}")


def share_line(share: Share) -> str:
    """Say which part of the traffic green should have, and which it had when."""
    planned = "traffic moves" if share.planned is None else f"{_part(share.planned)} planned"
    if share.at is None:
        return f"on green: {planned}, none counted yet"
    seen = "not known" if share.seen is None else f"{_part(share.seen)} seen"
    return f"on green: {planned}, {seen} at {share.at:%H:%M:%S} UTC"


def _part(share: float) -> str:
    """Write a share; only a fleet that has nothing gets 0%, and only one that has all 100%."""
    if 0 < share < 0.005:
        return "under 1%"
    return "over 99%" if 0.995 <= share < 1 else f"{share:.0%}"


def fleet_line(fleet: FleetLook) -> str:
    """Say a fleet in a few words."""
    if fleet.requests is None:
        return "no data yet"
    latency = f"p50 {_latency(fleet, fleet.p50_ms)} p99 {_latency(fleet, fleet.p99_ms)}"
    return f"{fleet.requests} requests, {_count(fleet.errors)} errors ({_rate(fleet.error_rate)}), {latency}"


def _latency(fleet: FleetLook, value: float | None) -> str:
    """Write a latency, with ~ where it is that of all traffic."""
    return f"~{_ms(value)}" if fleet.derived and value is not None else _ms(value)


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _rate(value: float | None) -> str:
    return "?" if value is None else f"{value:.1%}"


def _ms(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"


class QuietScreen:
    """Shows nothing: for output that a program reads."""

    def show(self, look: Look) -> None:
        """Show nothing."""

    def note(self, text: str, style: str = "") -> None:
        """Print nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass
