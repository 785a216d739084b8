"""Looks and screens: shares of equal times from what was counted, unknown shown as unknown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from cli.commands.steering import rollback
from cli.looking import FleetLook, Look, look, progress, state
from cli.screen import PlainScreen, fleet_line, panel, share_line
from modeldrop.release.live import Live
from modeldrop.release.observe import Passage, passage_to_json
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.share import Share
from modeldrop.rollout.plan import plan_to_json
from modeldrop.times import iso
from tests.unit.rollout_builders import RELEASE, a_demo_policy, a_plan

START = datetime(2026, 11, 23, 20, 10, tzinfo=UTC)
CANARY_SECONDS = 12


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@dataclass
class CloudWatch:
    """The metrics of 20 requests a second, of which green gets every tenth from the canary on: published at once.

    Blue has no dimension of its own. ahead_seconds: so much earlier than those of all traffic green's are published.
    """

    ahead_seconds: int = 0
    now: datetime = START
    silent: frozenset[str] = frozenset()
    untimed: frozenset[str] = frozenset()
    calls: int = 0

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=lambda **request: [self.get_metric_data(**request)])

    def get_metric_data(self, **request: Any) -> dict[str, Any]:
        self.calls += 1
        results = []
        for query in request["MetricDataQueries"]:
            found = dict(self._points(query["MetricStat"], request["StartTime"], request["EndTime"]))
            results.append({"Id": query["Id"], "Timestamps": list(found), "Values": list(found.values())})
        return {"MetricDataResults": results}

    def _points(self, asked: dict[str, Any], begin: datetime, end: datetime) -> Iterator[tuple[datetime, float]]:
        named = {one["Name"]: one["Value"] for one in asked["Metric"]["Dimensions"]}
        config = named.get("EndpointConfigName", "")
        if config not in ("", RELEASE) or config in self.silent:
            return
        if asked["Metric"]["MetricName"] == "ModelLatency" and config in self.untimed:
            return
        published = self.now - timedelta(seconds=0 if config else self.ahead_seconds)
        while begin < end:
            until = min(begin + timedelta(seconds=asked["Period"]), published)
            count = sum(1 for one in self._requests(begin, until) if not config or one)
            if count:
                yield begin, self._value(asked, count)
            begin += timedelta(seconds=asked["Period"])

    def _requests(self, begin: datetime, end: datetime) -> list[bool]:
        """Return for each request whether green answers it."""
        first, last = (round((one - START).total_seconds() * 20) for one in (begin, end))
        return [number % 10 == 0 and number >= CANARY_SECONDS * 20 for number in range(first, last)]

    def _value(self, asked: dict[str, Any], count: int) -> float:
        return {"Invocations": float(count), "ModelLatency": 4_000.0}.get(asked["Metric"]["MetricName"], 0.0)


def an_endpoint(pending: str = RELEASE) -> dict[str, Any]:
    baking = {"Status": "Baking", "StartTime": at(CANARY_SECONDS)}
    activating = {"Status": "ActivatingTraffic", "StartTime": at(CANARY_SECONDS - 2)}
    summary = {"EndpointConfigName": pending, "ProductionVariants": [{"VariantStatus": [activating, baking]}]}
    return {"EndpointStatus": "Updating", "EndpointConfigName": "older", "PendingDeploymentSummary": summary}


def a_record(**overrides: Any) -> ReleaseRecord:
    passage = Passage((at(CANARY_SECONDS),), ((at(CANARY_SECONDS - 2), at(CANARY_SECONDS)),))
    began = {"started_at": iso(START), "last_look": iso(at(CANARY_SECONDS)), "passage": passage_to_json(passage)}
    values: dict[str, Any] = {
        "plan": plan_to_json(a_plan(policy=a_demo_policy())),
        "phase": "canary",
        "rollout": began,
        **overrides,
    }
    return ReleaseRecord("sentiment", RELEASE, "bucket", "key", "version", **values)


def seen(
    seconds: float,
    cloudwatch: CloudWatch | None = None,
    record: ReleaseRecord | None = None,
    earlier: Look | None = None,
    **endpoint: Any,
) -> Look:
    """Look so many seconds after the rollout began."""
    metrics = cloudwatch or CloudWatch()
    metrics.now = at(seconds)
    reached = {
        "cloudwatch": metrics,
        "sagemaker": SimpleNamespace(describe_endpoint=lambda **_: an_endpoint(**endpoint)),
    }
    stack: Any = SimpleNamespace(account=SimpleNamespace(client=reached.__getitem__))
    return look(stack, record or a_record(), at(seconds), at(seconds), earlier)


@pytest.mark.parametrize("ahead_seconds", [0, 2])
def test_at_no_moment_of_a_canary_of_1_in_10_another_share_is_seen(ahead_seconds: int) -> None:
    shares = [seen(CANARY_SECONDS + half / 2, CloudWatch(ahead_seconds)).share for half in range(120)]
    told = {share_line(one).partition(" at ")[0] for one in shares if one}
    assert told == {
        "on green: 10% planned, none counted yet",
        "on green: traffic moves, 8% seen",
        "on green: 10% planned, 10% seen",
    }


def test_the_share_is_that_of_the_last_closed_period_and_says_which() -> None:
    first, later = seen(33.5).share, seen(42.9).share
    assert first is not None
    assert later == first
    assert share_line(first) == "on green: 10% planned, 10% seen at 20:10:30 UTC"


def test_a_period_that_is_going_on_is_not_counted() -> None:
    one = seen(38)
    assert one.blue is not None
    assert (one.green.requests, one.blue.requests) == (36, 600 - 36)


def test_a_green_without_data_has_no_share() -> None:
    assert share_line(seen(40, CloudWatch(silent=frozenset({RELEASE}))).share or Share(0, 0, None)) == (
        "on green: 10% planned, not known at 20:10:30 UTC"
    )


def test_all_traffic_without_data_gives_no_share() -> None:
    one = seen(40, CloudWatch(silent=frozenset({""})))
    assert one.share == Share(0.1, None, at(30))
    assert one.blue == FleetLook(a_plan().previous_config)


def test_what_the_endpoint_says_since_the_judge_s_last_look_is_known() -> None:
    before = {"started_at": iso(START), "last_look": iso(at(5)), "passage": passage_to_json(Passage())}
    assert seen(40, record=a_record(rollout=before)).share == Share(0.1, 0.1, at(30))
    assert seen(40, record=a_record(rollout=before), pending="somebody-s").share is None


def test_nothing_is_said_of_traffic_before_a_plan_and_after_the_end() -> None:
    assert seen(40, record=a_record(plan={}, rollout={})).green == FleetLook(RELEASE)
    assert seen(40, record=a_record(outcome="promoted")).share is None


def test_a_first_release_shares_its_traffic_with_nobody() -> None:
    record = a_record(plan=plan_to_json(a_plan(policy=a_demo_policy(), live=None)))
    one = seen(40, record=record)
    assert (one.share, one.blue, one.green.requests) == (None, None, 36)


def test_a_period_that_was_counted_is_not_read_again() -> None:
    cloudwatch = CloudWatch()
    first = seen(40, cloudwatch)
    before = cloudwatch.calls
    again = seen(42.9, cloudwatch, earlier=first)
    assert (cloudwatch.calls, again.green, again.share) == (before, first.green, first.share)
    assert replace(seen(55, cloudwatch, earlier=again), at=START) == replace(seen(55), at=START)


def test_of_an_old_rollout_no_more_is_read_than_there_is() -> None:
    cloudwatch = CloudWatch()
    one = seen(5 * 3600, cloudwatch, record=a_record(outcome="promoted", finished_at=iso(at(95))))
    assert (one.bins[0].start, one.bins[-1].end) == (START, at(100))
    late = seen(5 * 3600, cloudwatch)
    assert late.bins[0].start == at(2 * 3600 + 10)  # within three hours of now


def test_blue_s_latency_is_marked_as_that_of_all_traffic_until_it_has_its_own() -> None:
    one = seen(40)
    assert one.blue is not None
    assert (one.blue.p50_ms, one.blue.derived, one.green.p99_ms, one.green.derived) == (4.0, True, 4.0, False)
    assert seen(40, CloudWatch(untimed=frozenset({RELEASE}))).green.p99_ms is None


@pytest.mark.parametrize(
    ("share", "line"),
    [
        (Share(0.1, None, None), "on green: 10% planned, none counted yet"),
        (Share(None, 0.38, START, moving=True), "on green: traffic moves, 38% seen at 20:10:00 UTC"),
        (Share(1 / 300, 0.004, START), "on green: under 1% planned, under 1% seen at 20:10:00 UTC"),
        (Share(1.0, 0.997, START), "on green: 100% planned, over 99% seen at 20:10:00 UTC"),
        (Share(0.1, 0.0, START), "on green: 10% planned, 0% seen at 20:10:00 UTC"),
    ],
)
def test_a_share_is_said_as_planned_and_as_seen(share: Share, line: str) -> None:
    assert share_line(share) == line


def a_look(green: FleetLook, blue: FleetLook | None = None, phase: str = "canary", share: Share | None = None) -> Look:
    record = ReleaseRecord("sentiment", "sentiment-2", "bucket", "key", "version", phase=phase)  # type: ignore[arg-type]
    return Look(datetime(2026, 11, 24, tzinfo=UTC), record, "Updating", blue, green, share)


def test_missing_error_counts_are_not_shown_as_zero() -> None:
    assert fleet_line(FleetLook("g", 10)) == "10 requests, ? errors (?), p50 ? p99 ?"


def test_the_panel_names_both_fleets_and_the_phase() -> None:
    green, blue = FleetLook("model-b", 31, 9, 80.0, 120.0), FleetLook("model-a", 900, 0, 1.0, 3.0)
    shown = drawn(a_look(green, blue, share=Share(0.1, 0.09, START)))
    assert all(word in shown for word in ("model-a", "model-b", "29.0%", "canary"))
    assert "on green: 10% planned, 9% seen at 20:10:00 UTC" in shown


def test_a_bar_is_drawn_only_of_what_was_seen() -> None:
    fleets = FleetLook("g", 31, 0), FleetLook("b", 900, 0)
    assert "█" not in drawn(a_look(*fleets, share=Share(0.1, None, START)))
    assert "█" not in drawn(a_look(*fleets))
    assert drawn(a_look(*fleets, share=Share(0.1, 0.001, START))).count("█") == 50


def drawn(look: Look) -> str:
    console = Console(width=120, record=True, file=StringIO())
    console.print(panel(look, 12.0))
    return console.export_text()


def test_a_plain_line_has_the_share(capsys: pytest.CaptureFixture[str]) -> None:
    PlainScreen().show(a_look(FleetLook("g", 20, 0), share=Share(0.1, 0.09, START)))
    assert "on green: 10% planned, 9% seen at 20:10:00 UTC; green 20 requests" in capsys.readouterr().out


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


def test_what_was_counted_before_the_rollout_began_is_left_out_once_it_has() -> None:
    earlier = seen(190)
    assert earlier.bins[0].start == START
    later = seen(200, record=a_record(rollout={"started_at": iso(at(100))}), earlier=earlier)
    assert later.bins[0].start == at(100)
    assert later.bins[-1].end > earlier.bins[-1].end
