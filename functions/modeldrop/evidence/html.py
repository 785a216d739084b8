"""The evidence card as one page that needs nothing else: facts, charts drawn here, tables behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any
from urllib.parse import urlsplit

from modeldrop.evidence.charts import Band, Chart, Mark, Series, nice_ticks, render_chart
from modeldrop.evidence.plain import plain
from modeldrop.evidence.style import CSS
from modeldrop.evidence.text import WORDS, headline, next_step, verdict_line
from modeldrop.judge.bins import Bin, Counts
from modeldrop.judge.verdict import odds
from modeldrop.judge.words import percent

TONES = {"promoted": "good", "created": "good", "rolled_back": "bad", "failed": "bad", "rejected": "bad"}
# evidence below one in a thousand is drawn at the bottom: how sure it is of green does not matter
LOWEST_LOG10 = -3.0
# and above a hundred thousand it is proof enough: the line stays at the top
HIGHEST_LOG10 = 5.0
PERIODS = {"rolling_back": "rolling back", "final_bake": "final bake"}


def render_html(card: Mapping[str, Any], bins: Sequence[Bin] = ()) -> str:
    """Return the whole page. bins: of the rollout, for the charts; without them the page has facts only."""
    title = f"{WORDS[card['outcome']]} {card['endpoint']}: {headline(card)}"
    tone = TONES.get(card["outcome"], "warn")
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{_safe(title)}</title><style>{CSS}</style></head><body><main>",
        f'<span class="outcome {tone}">{_safe(WORDS[card["outcome"]])}</span>',
        f"<h1>{_safe(card['endpoint'])}: {_safe(headline(card))}</h1>",
        _facts(card),
        _problems(card["problems"]),
        *_charts(card, bins),
        _timeline(card),
        _list("Notes of the plan", card["notes"]),
        _list("Breaking changes of the serving signatures, allowed by the policy", card["artifact"]["breaking"]),
        _list("Warnings about the artifact", card["artifact"]["warnings"]),
        _policy(card["policy"]),
        "</main></body></html>\n",
    ]
    return "".join(parts)


def _safe(text: object, limit: int = 700) -> str:
    return escape(plain(text, limit))


def _facts(card: Mapping[str, Any]) -> str:
    harm, artifact = card["harm"], card["artifact"]
    rows = [("Release", card["release"]), ("Label", card["label"]), ("Artifact", artifact["source"])]
    rows += [("sha256", artifact["sha256"]), ("TensorFlow", artifact["tensorflow_version"])]
    if card["strategy"] and card["started_at"]:
        size = f", {card['canary_instances']} of {card['instance_count']} instances first"
        rows.append(("Strategy", card["strategy"] + (size if card["canary_instances"] else "")))
    if card["verdict"]:
        rows.append(("Verdict", verdict_line(card)))
    if card["started_at"] and not card["first_release"]:
        rows.append(("Harm", f"{harm['failed_requests']} failed of {harm['green_requests']} requests on green"))
    rows += [("Alarm", f"{alarm['name']} fired {alarm['at']}: {alarm['reason']}") for alarm in card["alarms"]]
    rows += [("Aborted by", card["aborted_by"]), ("Live", card["live"] or "nothing"), ("Previous", card["previous"])]
    rows += [("Uploaded", card["uploaded_at"]), ("Started", card["started_at"]), ("Ended", card["finished_at"])]
    rows.append(("Next", next_step(card)))
    listed = "".join(f"<dt>{_safe(name)}</dt><dd>{_safe(text)}</dd>" for name, text in rows if text)
    report = card["report_url"]
    if urlsplit(report).scheme == "https":
        listed += f'<dt>Report</dt><dd><a href="{escape(report)}">{_safe(report)}</a></dd>'
    reasons = _list("Why", [reason for reason in card["reasons"] if reason])
    return f"{reasons}<h2>Facts</h2><dl>{listed}</dl>"


def _problems(problems: Sequence[Mapping[str, str]]) -> str:
    if not problems:
        return ""
    items = "".join(
        f"<li><strong>{_safe(one['code'])}</strong>: {_safe(one['what'])}"
        f"{f' ({_safe(one["where"])})' if one.get('where') else ''}. {_safe(one.get('fix', ''))}</li>"
        for one in problems
    )
    return f"<h2>Problems</h2><ul>{items}</ul>"


def _charts(card: Mapping[str, Any], bins: Sequence[Bin]) -> list[str]:
    """Return the charts, and the table of all bins that says the same in numbers."""
    if not bins:
        return []
    started = datetime.fromisoformat(card["canary_started"]) if card["canary_started"] else bins[0].start
    marks = _marks(card, started)
    bands = tuple(Band(_seconds(one.start, started), _seconds(one.end, started)) for one in bins if one.shift)
    charts = [_rates("errors", "Error rate", bins, started, marks, bands)]
    if any(fleet is not None and fleet.slow is not None for one in bins for fleet in (one.blue, one.green)):
        limit = f" (over {card['slow_ms']:g} ms)" if card["slow_ms"] else ""
        charts.append(_rates("slow", f"Share of slow requests{limit}", bins, started, marks, bands))
    if card["verdict"].get("path"):
        charts.append(_evidence(card["verdict"], started, marks, bands))
    figures = [f"<figure><figcaption>{_safe(one.title)}</figcaption>{render_chart(one)}</figure>" for one in charts]
    return ["<h2>Blue against green</h2>", *figures, _table(bins, started)]


def _marks(card: Mapping[str, Any], started: datetime) -> tuple[Mark, ...]:
    told = [(card["canary_started"], "canary")] if card["canary_started"] else []
    told += [(at, PERIODS[what]) for at, what in card["timeline"] if what in PERIODS]
    told += [(alarm["at"], alarm["name"].removeprefix(f"{card['release']}-") + " alarm") for alarm in card["alarms"]]
    return tuple(Mark(_seconds(datetime.fromisoformat(at), started), plain(word, 24)) for at, word in told)


def _rates(
    metric: str, title: str, bins: Sequence[Bin], started: datetime, marks: tuple[Mark, ...], bands: tuple[Band, ...]
) -> Chart:
    blue = Series("blue (live)", "blue", _points(metric, [(one, one.blue) for one in bins], started))
    green = Series("green (new)", "green", _points(metric, [(one, one.green) for one in bins], started))
    high = max((value for one in (blue, green) for _, value in one.points if value is not None), default=0.0)
    ticks = nice_ticks(min(1.0, high))
    told = f"{title} in each bin. {_range(green)} {_range(blue)}"
    return Chart(metric, title, told, (blue, green), 0.0, ticks[-1], ticks, percent, marks, bands)


def _evidence(verdict: Mapping[str, Any], started: datetime, marks: tuple[Mark, ...], bands: tuple[Band, ...]) -> Chart:
    path = [(datetime.fromisoformat(at), float(log10)) for at, log10 in verdict["path"]]
    # before anything is seen nothing speaks for or against green: odds of one to one
    points = ((0.0, 0.0), *((_seconds(at, started), log10) for at, log10 in path))
    bar = float(verdict["log10_bar"])
    highest = max(bar, min(HIGHEST_LOG10, max(log10 for _, log10 in points)))
    lowest = max(LOWEST_LOG10, min([0.0, *(log10 for _, log10 in points)]))
    step = max(1, round((highest - lowest) / 5))
    ticks = tuple(float(value) for value in range(-int(-lowest // 1), int(highest) + 1, step))
    most = max(log10 for _, log10 in points)
    told = (
        f"Evidence that green is worse than it may be, on a logarithmic scale: at most {odds(most)}, "
        f"at the end {odds(points[-1][1])}; a roll back needs {odds(bar)}."
    )
    line = Series("evidence against green", "evidence", points)
    bar_name = f"{odds(bar)} rolls back"
    return Chart(
        "evidence", "Evidence", told, (line,), lowest, highest + 0.5, ticks, _power, marks, bands, (bar, bar_name)
    )


def _power(log10: float) -> str:
    """Write a tick of the evidence: `1:10`, `1:1`, `1000:1`."""
    return f"{10**log10:.0f}:1" if log10 >= 0 else f"1:{10**-log10:.0f}"


def _points(
    metric: str, fleet: Sequence[tuple[Bin, Counts | None]], started: datetime
) -> tuple[tuple[float, float | None], ...]:
    found = []
    for one, counts in fleet:
        middle = _seconds(one.start + timedelta(seconds=one.seconds / 2), started)
        bad = None if counts is None else counts.errors if metric == "errors" else counts.slow
        known = counts is not None and counts.requests > 0 and bad is not None
        # the judge cuts counts that exceed the requests as well
        found.append((middle, min(1.0, bad / counts.requests) if known and counts and bad is not None else None))
    return tuple(found)


def _range(series: Series) -> str:
    values = [value for _, value in series.points if value is not None]
    if not values:
        return f"{series.name}: no data."
    return f"{series.name}: {percent(min(values))} to {percent(max(values))}, last {percent(values[-1])}."


def _table(bins: Sequence[Bin], started: datetime) -> str:
    rows = "".join(
        f"<tr><td>{_seconds(one.start, started):.0f} s</td>{_cells(one.blue)}{_cells(one.green)}"
        f"<td>{'traffic moved' if one.shift else ''}</td></tr>"
        for one in bins
    )
    head = "<th>bin</th>" + "".join(
        f"<th>{fleet} {what}</th>" for fleet in ("blue", "green") for what in ("requests", "errors", "slow")
    )
    return (
        f'<details><summary>All {len(bins)} bins</summary><div class="wide"><table><thead><tr>{head}<th></th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div></details>"
    )


def _cells(counts: Counts | None) -> str:
    if counts is None:
        return '<td colspan="3">no data</td>'
    slow = "?" if counts.slow is None else counts.slow
    return f"<td>{counts.requests}</td><td>{counts.errors}</td><td>{slow}</td>"


def _timeline(card: Mapping[str, Any]) -> str:
    steps = [(at, what.replace("_", " ")) for at, what in card["timeline"]]
    steps += [(alarm["at"], f"alarm {alarm['name']} fired") for alarm in card["alarms"]]
    return _list("Timeline", [f"{at}  {what}" for at, what in sorted(steps)])


def _list(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return f"<h2>{_safe(title)}</h2><ul>{''.join(f'<li>{_safe(line)}</li>' for line in lines)}</ul>"


def _policy(policy: Mapping[str, Any]) -> str:
    if not policy:
        return ""
    text = json.dumps(policy, indent=1, ensure_ascii=True)
    return f"<details><summary>The policy as it was resolved</summary><pre>{escape(text)}</pre></details>"


def _seconds(moment: datetime, started: datetime) -> float:
    return (moment - started).total_seconds()
