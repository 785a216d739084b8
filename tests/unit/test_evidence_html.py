"""The evidence card as a page: complete, harmless, readable without the pictures."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

from modeldrop.evidence.charts import HEIGHT, WIDTH, nice_ticks
from modeldrop.evidence.html import render_html
from modeldrop.judge.bins import Bin
from tests.unit.evidence_builders import a_card, a_record, a_roll_back, a_verdict, fired, some_bins
from tests.unit.test_evidence_text import cards

EVIL = '"><script>alert(1)</script>\u202e\x00'


class Page(HTMLParser):
    """Collects tags and checks that they close in order."""

    VOID = frozenset({"meta", "line", "rect", "circle", "polyline"})

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


def a_bad_card() -> dict[str, Any]:
    verdict = a_verdict(8)
    record = a_record(verdict=verdict)
    record = a_record(verdict=verdict, rollout=a_roll_back(record, fired("verdict", 42)))
    return a_card("rolled_back", "; ".join(verdict["reasons"]), record=record)


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


def test_errors_slow_and_evidence_are_drawn_each_with_its_words() -> None:
    found = drawings(render_html(a_bad_card(), some_bins(8)))
    assert [one.findtext("title") for one in found] == [
        "Error rate",
        "Share of slow requests (over 40 ms)",
        "Evidence",
    ]
    errors, _, evidence = (one.findtext("desc") or "" for one in found)
    assert "green (new): 40% to 40%" in errors
    assert "a roll back needs 100:1" in evidence


def test_everything_is_drawn_inside_the_picture() -> None:
    for drawing in drawings(render_html(a_bad_card(), some_bins(8, 100))):
        for element in drawing.iter():
            for name, most in (
                ("x", WIDTH),
                ("x1", WIDTH),
                ("cx", WIDTH),
                ("y", HEIGHT),
                ("y1", HEIGHT),
                ("cy", HEIGHT),
            ):
                assert -1 <= float(element.get(name, 0)) <= most
            for point in element.get("points", "").split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= WIDTH
                assert 0 <= y <= HEIGHT


def test_marks_say_canary_roll_back_and_alarm() -> None:
    words = {text.text for text in drawings(render_html(a_bad_card(), some_bins(8)))[0].iter("text")}
    assert {"canary", "rolling back", "verdict alarm"} <= words


def test_a_shift_is_shaded() -> None:
    drawing = drawings(render_html(a_bad_card(), some_bins(8)))[0]
    assert [one.get("class") for one in drawing.iter("rect")].count("band") == 1


def test_silence_breaks_the_line_and_is_no_zero() -> None:
    bins = [dataclasses.replace(one, green=None) if number == 3 else one for number, one in enumerate(some_bins(1, 8))]
    drawing = drawings(render_html(a_bad_card(), bins))[0]
    assert len([one for one in drawing.iter("polyline") if one.get("class") == "line green"]) == 2
    assert '<td colspan="3">no data</td>' in render_html(a_bad_card(), bins)


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
