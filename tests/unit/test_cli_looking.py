"""Looks and screens: shares from what was counted, unknown shown as unknown."""

from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from cli.commands.steering import rollback
from cli.looking import FleetLook, Look, progress, state
from cli.screen import PlainScreen, fleet_line, panel
from modeldrop.release.live import Live
from modeldrop.release.record import ReleaseRecord


def a_look(green: FleetLook, blue: FleetLook | None = None, phase: str = "canary") -> Look:
    record = ReleaseRecord("sentiment", "sentiment-2", "bucket", "key", "version", phase=phase)  # type: ignore[arg-type]
    return Look(datetime(2026, 11, 24, tzinfo=UTC), record, "Updating", blue, green)


def test_share_is_greens_part_of_the_last_period() -> None:
    look = a_look(FleetLook("g", 50, 0, recent_requests=20), FleetLook("b", 900, 0, recent_requests=180))
    assert look.share == 0.1


def test_without_any_data_the_share_is_unknown() -> None:
    assert a_look(FleetLook("g"), FleetLook("b")).share is None


def test_a_silent_green_beside_a_busy_blue_has_no_share() -> None:
    assert a_look(FleetLook("g"), FleetLook("b", 10, 0, recent_requests=10)).share == 0.0


def test_missing_error_counts_are_not_shown_as_zero() -> None:
    assert fleet_line(FleetLook("g", 10)) == "10 requests, ? errors (?), p50 ? p99 ?"


def test_the_panel_names_both_fleets_and_the_phase() -> None:
    look = a_look(FleetLook("model-b", 31, 9, 80.0, 120.0, 20), FleetLook("model-a", 900, 0, 1.0, 3.0, 180))
    console = Console(width=100, record=True, file=StringIO())
    console.print(panel(look, 12.0))
    shown = console.export_text()
    assert all(word in shown for word in ("model-a", "model-b", "29.0%", "canary", "10% on green"))


def test_a_plain_screen_prints_a_phase_once_until_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    screen = PlainScreen()
    for phase in ("canary", "canary", "shifting"):
        screen.show(a_look(FleetLook("g"), FleetLook("b"), phase))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines] == ["canary", "shifting"]


def test_a_release_that_is_read_tells_how_far_it_is() -> None:
    read = {"read_bytes": 500_000_000, "size_bytes": 2_000_000_000, "seconds": 2.0}
    record = replace(a_look(FleetLook("g"), phase="validating").record, progress=read)
    assert state(record) == "validating, 0.5 of 2.0 GB, 250 MB/s, 6 s left"
    assert progress(replace(record, phase="planning")) is None
    assert state(replace(record, outcome="failed")) == "failed"


def test_a_roll_back_says_what_stays_live_until_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = ReleaseRecord(
        "sentiment",
        "sentiment-20261123201000-4f1c2a",
        "bucket",
        "key",
        "version",
        outcome="promoted",
        artifact={"sha256": "9b1d" * 16},
    )
    table = SimpleNamespace(
        live=lambda _: Live("sentiment-20261124201000-77ab01", record.release),
        endpoints=lambda: ["sentiment"],
        get=lambda *_: record,
    )
    monkeypatch.setattr("cli.account.find_stack", lambda _: SimpleNamespace(releases=lambda: table))
    monkeypatch.setattr("cli.dropping.restore_model", lambda *_: "sentiment-20261124211000-aaaaaa")
    monkeypatch.setattr("cli.commands.steering._who", lambda _: "ada")
    rollback("sentiment")
    assert "until then sentiment-20261124201000-77ab01 stays live" in " ".join(capsys.readouterr().out.split())
