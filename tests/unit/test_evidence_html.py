"""The evidence card as a page: complete, harmless, readable without the pictures."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

from modeldrop.evidence.charts import HEIGHT, WIDTH, Axis, Mark, nice_ticks, render_board
from modeldrop.evidence.html import render_html
from modeldrop.judge.bins import Bin
from tests.unit.evidence_builders import (
    a_card,
    a_drift_verdict,
    a_record,
    a_roll_back,
    a_verdict,
    fired,
    some_answers,
    some_bins,
)
from tests.unit.test_evidence_text import cards

EVIL = '"><script>alert(1)</script>\u202e\x00'


class Page(HTMLParser):
    """Collects tags and checks that they close in order."""

    VOID = frozenset({"meta", "rect", "path", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


LATENCY = {
    "since": "2026-11-23T20:10:10Z",
    "every": 10,
    "blue": None,
    "green": {"p50": [62.0, None, 61.0], "p99": [220.0, None, 84.0]},
}


def a_bad_card(**around: Any) -> dict[str, Any]:
    verdict = a_verdict(8)
    record = a_record(verdict=verdict)
    record = a_record(verdict=verdict, rollout=a_roll_back(record, fired("verdict", 42)))
    return a_card("rolled_back", "; ".join(verdict["reasons"]), record=record, **around)


def drawings(page: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(one) for one in re.findall(r"<svg.*?</svg>", page)]


@pytest.mark.parametrize("name", cards())
def test_every_ending_has_a_whole_page(name: str) -> None:
    page = render_html(cards()[name], some_bins())
    seen = Page(page).seen
    assert page.startswith("<!doctype html>")
    assert [tag for tag, _ in seen if tag == "h1"] == ["h1"]


def test_the_page_needs_nothing_from_elsewhere() -> None:
    for tag, attributes in Page(render_html(a_bad_card(), some_bins(8))).seen:
        assert tag not in ("script", "link", "img", "iframe", "object")
        assert "src" not in attributes
        assert not any(name.startswith("on") for name in attributes)


def test_every_chart_says_in_words_what_it_shows() -> None:
    found = drawings(render_html(a_bad_card(latency=LATENCY), some_bins(8)))
    assert [one.findtext("title") for one in found] == [
        "Traffic on green",
        "Error rate",
        "Slow requests, over 40 ms",
        "Model latency",
        "Evidence against green",
    ]
    share, errors, _, latency, evidence = (one.findtext("desc") or "" for one in found)
    assert "Planned for the canary: 10%" in share
    assert "green, the new model: 40% so far, between 23% and 59%." in errors
    assert "green, the new model: p50 62 ms, worst p99 220 ms." in latency
    assert "blue, the old model: not known." in latency
    assert "a roll back needs 100:1" in evidence


def test_everything_is_drawn_inside_the_picture() -> None:
    for drawing in drawings(render_html(a_bad_card(latency=LATENCY), some_bins(8, 100))):
        for path in drawing.iter("path"):
            for x, y in re.findall(r"[ML](\S+) ([0-9.]+)", path.get("d", "")):
                assert 0 <= float(x) <= WIDTH
                assert 0 <= float(y) <= HEIGHT


def test_marks_say_canary_verdict_alarm_roll_back_and_end() -> None:
    page = render_html(a_bad_card(), some_bins(8))
    told = ("green got its first traffic", "evidence reached 100:1: verdict bad", "alarm verdict fired")
    told += ("SageMaker seen rolling back", "release over")
    places = [page.index(f"<li>{one} <span>") for one in told]
    assert places == sorted(places)
    assert page.count("<b class=") == len(told)


def test_marks_that_are_close_get_rows_of_their_own() -> None:
    board = render_board(Axis(0, 100), (), (), [Mark(at, "x") for at in (10, 11, 12, 50)], ())
    assert re.findall(r"row\d", board) == ["row0", "row1", "row2", "row0"]


def test_a_shift_is_shaded() -> None:
    drawing = drawings(render_html(a_bad_card(), some_bins(8)))[0]
    assert [one.get("class") for one in drawing.iter("rect")] == ["shift"]


def test_silence_breaks_the_line_and_is_no_zero() -> None:
    bins = [dataclasses.replace(one, green=None) if number == 3 else one for number, one in enumerate(some_bins(1, 8))]
    errors = drawings(render_html(a_bad_card(), bins))[1]
    assert len([one for one in errors.iter("path") if one.get("class") == "line green"]) == 2
    assert '<td colspan="3">no data</td>' in render_html(a_bad_card(), bins)


def test_latency_that_nobody_measured_is_not_known() -> None:
    assert "Latency percentiles: not known." in render_html(a_bad_card(), some_bins(8))


def test_the_page_says_what_the_verdict_does_not_cover() -> None:
    page = render_html(cards()["promoted"], some_bins())
    assert "green was a single, freshly started one" in page
    assert "Inconclusive is not healthy" in page
    assert "does not cover" not in render_html(cards()["rejected"])


def test_a_card_from_before_latency_was_read_still_has_its_page() -> None:
    card = a_bad_card()
    del card["latency"], card["clump"]
    assert "not known" in render_html(card, some_bins(8))


def test_without_bins_there_are_facts_and_no_charts() -> None:
    page = render_html(cards()["superseded"])
    assert drawings(page) == []
    assert "came later" in page


def test_without_any_traffic_the_page_still_stands() -> None:
    empty: list[Bin] = [dataclasses.replace(one, green=None, blue=None) for one in some_bins()]
    record = a_record(verdict={})
    for drawing in drawings(render_html(a_card("promoted", "all", record=record), empty)):
        assert "no data" in (drawing.findtext("desc") or "")


def test_nothing_from_outside_becomes_markup() -> None:
    problems = ({"code": EVIL, "what": EVIL, "where": EVIL, "fix": EVIL},)
    record = a_record(label=EVIL, problems=problems, abort_requested_by=EVIL, key=EVIL)
    record.policy["endpoint"]["environment"] = {"A": EVIL}
    record.artifact["warnings"] = [EVIL]
    record.plan["notes"] = [EVIL]
    record.rollout["alarms_fired"] = [{"name": EVIL, "at": "2026-11-23T20:10:52Z", "reason": EVIL}]
    page = render_html(a_card("rejected", EVIL, record=record, report_url="javascript:alert(1)"), some_bins())
    assert not any(tag in ("script", "a") for tag, _ in Page(page).seen)
    assert "\u202e" not in page
    assert "\x00" not in page


def test_only_a_web_address_becomes_a_link() -> None:
    assert [tag for tag, _ in Page(render_html(a_bad_card())).seen if tag == "a"] == ["a"]
    assert not [tag for tag, _ in Page(render_html(a_card("failed", "x", report_url="s3://b/k"))).seen if tag == "a"]


def test_a_thousand_bins_stay_under_a_megabyte() -> None:
    bins = some_bins(1, 1000)
    card = a_card("promoted", "all", record=a_record(verdict=a_verdict(bins=bins)))
    assert len(render_html(card, bins)) < 1_000_000


def test_a_verdict_beyond_all_doubt_stays_in_the_chart() -> None:
    verdict = a_verdict(20, 200)
    card = a_card("failed", "x", record=a_record(verdict=verdict))
    assert "over 1000000:1" in (drawings(render_html(card, some_bins(20, 200)))[-1].findtext("desc") or "")


@pytest.mark.parametrize(
    ("high", "last"), [(0.4, 0.4), (0.005, 0.006), (0.07, 0.08), (1.0, 1.0), (0.0, 0.01), (0.11, 0.15)]
)
def test_axes_end_at_round_values(high: float, last: float) -> None:
    ticks = nice_ticks(high)
    assert ticks[-1] == pytest.approx(last)
    assert 2 <= len(ticks) <= 6


def test_drift_is_drawn_as_the_answer_that_tells_most() -> None:
    verdict = a_drift_verdict()
    record = a_record(verdict=verdict, rollout=a_roll_back(a_record(), fired("verdict", 42)))
    page = render_html(a_card("rolled_back", record=record), some_bins(0), some_answers())
    titles = [drawing.findtext("title") for drawing in drawings(page)]
    assert "Answer \u201cpositive\u201d" in titles
    told = next(one.findtext("desc") for one in drawings(page) if "Answer" in (one.findtext("title") or ""))
    assert told is not None
    assert "green, the new model: 100% so far" in told
    assert '<th scope="row">Answers: positive</th>' in page
    assert "how often each was given was judged, on a sample" in page


def test_a_class_with_a_hostile_name_is_only_text() -> None:
    verdict = a_drift_verdict()
    verdict["metrics"][-1]["answer"] = EVIL
    page = render_html(a_card("rolled_back", record=a_record(verdict=verdict)), some_bins(0), some_answers())
    Page(page)
    assert "<script" not in page


def test_the_page_leads_to_the_runbook_where_the_stack_knows_its_address():
    card = a_card("failed", "no reason")
    assert '<a href="https://example.com/runbook#failed">' in render_html(
        {**card, "runbook": "https://example.com/runbook"}
    )
    assert "<dd>docs/runbook.md#failed</dd>" in render_html(card)
    assert 'href="javascript:' not in render_html({**card, "runbook": "javascript:alert(1)"})
