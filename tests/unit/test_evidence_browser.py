"""The evidence card in a real browser: nothing is fetched, nothing complains, nothing sticks out on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modeldrop.evidence.html import render_html
from scripts.make_evidence_sample import PAGE, sample
from tests.unit.browser import Browser, find_browser
from tests.unit.evidence_builders import (
    a_card,
    a_drift_verdict,
    a_record,
    a_roll_back,
    fired,
    some_answers,
    some_bins,
)
from tests.unit.test_evidence_html import EVIL, LATENCY, a_bad_card
from tests.unit.test_evidence_text import cards

PROGRAM = find_browser()
needs_browser = pytest.mark.skipif(PROGRAM is None, reason="no Chromium or Chrome on the path")
# the lowest contrast of text on its background, by WCAG's formula; the walk stops at the first opaque background
CONTRAST = """(() => {
  const c = s => (s.match(/[\\d.]+/g) || []).map(Number);
  const l = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((a, v, i) => a + v * [0.2126, 0.7152, 0.0722][i], 0);
  const back = e => { while (e) { const k = c(getComputedStyle(e).backgroundColor);
    if (k.length === 3 || k[3] === 1) return k; e = e.parentElement } return [255, 255, 255] };
  let low = 21;
  for (const e of document.querySelectorAll('h1,h2,h3,p,dd,dt,li,td,th,small,b,.y,.barname,.phase,.outcome')) {
    if (!e.textContent.trim() || getComputedStyle(e).backgroundColor.startsWith('color(')) continue;
    const a = l(c(getComputedStyle(e).color)), b = l(back(e));
    low = Math.min(low, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)) }
  return low })()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert PROGRAM is not None
    with Browser(PROGRAM, tmp_path_factory.mktemp("profile")) as one:
        yield one


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_is_legible_and_asks_for_nothing(browser: Browser, tmp_path: Path, width: int, scheme: str) -> None:
    page = tmp_path / "card.html"
    page.write_text(render_html(a_bad_card(latency=LATENCY), some_bins(8, 30)))
    browser.show(page, width, scheme=scheme)
    assert browser.value("document.documentElement.scrollWidth") == width
    assert browser.value("document.querySelectorAll('svg').length") == 5
    assert browser.value(CONTRAST) >= 4.5
    assert browser.requests == [page.as_uri()]
    assert browser.complaints == []


@needs_browser
@pytest.mark.parametrize("name", cards())
def test_every_ending_fits_on_a_phone(browser: Browser, tmp_path: Path, name: str) -> None:
    page = tmp_path / "card.html"
    page.write_text(render_html(cards()[name], some_bins()))
    browser.show(page, 360)
    assert browser.value("document.documentElement.scrollWidth") == 360
    assert browser.complaints == []


@needs_browser
def test_hostile_text_stays_text(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "card.html"
    page.write_text(render_html({**a_bad_card(), "label": EVIL, "reasons": [EVIL]}, some_bins(8)))
    browser.show(page, 360)
    assert browser.value("document.scripts.length") == 0
    assert browser.requests == [page.as_uri()]
    assert browser.complaints == []


@needs_browser
def test_the_test_would_see_a_page_that_asks_and_sticks_out(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<img src='other.png'><p style='width:900px'>wide</p><script>console.error('no')</script>")
    browser.show(page, 360)
    assert len(browser.requests) == 2
    assert browser.complaints
    assert browser.value("document.documentElement.scrollWidth") > 360


@needs_browser
def test_it_prints(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "card.html"
    page.write_text(render_html(a_bad_card(latency=LATENCY), some_bins(8)))
    browser.show(page, 800)
    assert browser.paper().startswith(b"%PDF")


def test_the_sample_page_is_what_the_code_makes() -> None:
    assert PAGE.read_text() == sample(), "run: python -m scripts.make_evidence_sample"


@needs_browser
def test_all_charts_share_one_width_and_so_one_time_axis(browser: Browser, tmp_path: Path) -> None:
    verdict = a_drift_verdict()
    record = a_record(verdict=verdict, rollout=a_roll_back(a_record(), fired("verdict", 42)))
    card = a_card("rolled_back", record=record, latency=LATENCY)
    page = tmp_path / "card.html"
    page.write_text(render_html(card, some_bins(0), some_answers()))
    browser.show(page, 1280)
    places = "[...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect()).map(r => r.x + ' ' + r.width)"
    assert browser.value(f"{places}.length") == 6
    assert browser.value(f"new Set({places}).size") == 1
