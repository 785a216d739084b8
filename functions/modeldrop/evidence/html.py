"""The evidence card as one page that needs nothing else: the answer first, then charts, then every fact behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import urlsplit

from modeldrop.evidence.board import latency_words, marks_of, origin, render_rollout, seconds
from modeldrop.evidence.intervals import rate_interval
from modeldrop.evidence.limits import not_covered
from modeldrop.evidence.plain import plain
from modeldrop.evidence.style import CSS
from modeldrop.evidence.text import WORDS, clock, harm_words, headline, live_words, next_step, runbook_entry
from modeldrop.judge.answers import AnswerBin
from modeldrop.judge.bins import Bin, Counts
from modeldrop.judge.words import percent

TONES = {"promoted": "good", "created": "good", "rolled_back": "bad", "failed": "bad", "rejected": "bad"}
METRIC_NAMES = {"errors": "Errors", "slow": "Slow requests", "drift": "Answers"}


def render_html(card: Mapping[str, Any], bins: Sequence[Bin] = (), answers: Sequence[AnswerBin] = ()) -> str:
    """Return the whole page. bins, answers: of the rollout, for the charts; without bins the page has facts only."""
    card = {"clump": 1, "latency": None, "restores": "", **card}
    title = f"{WORDS[card['outcome']]} {card['endpoint']}: {headline(card)}"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{_safe(title)}</title><style>{CSS}</style></head><body><main>",
        _header(card),
        _answers(card),
        _problems(card["problems"]),
        _rollout(card, bins, answers),
        _comparison(card),
        _list("What this verdict does not cover", not_covered(card)),
        _facts("Artifact", _artifact_rows(card)),
        _facts("Policy", _policy_rows(card)),
        _facts("Release", _release_rows(card)),
        _list("Notes of the plan", card["notes"]),
        _list(f"Breaking changes of the serving signatures, {_allowed_by(card)}", card["artifact"]["breaking"]),
        _list("Warnings about the artifact", card["artifact"]["warnings"]),
        _table(card, bins) if bins else "",
        _policy_text(card["policy"]),
        "</main></body></html>\n",
    ]
    return "".join(parts)


def _allowed_by(card: Mapping[str, Any]) -> str:
    return "as a roll back may" if card["restores"] else "allowed by the policy"


def _safe(text: object, limit: int = 700) -> str:
    return escape(plain(text, limit))


def _header(card: Mapping[str, Any]) -> str:
    ended = datetime.fromisoformat(card["finished_at"]) if card["finished_at"] else None
    when = f"{ended:%Y-%m-%d %H:%M:%S} UTC" if ended else ""
    told = " · ".join(_safe(one) for one in (card["release"], card["label"], when) if one)
    return (
        f'<header class="{TONES.get(card["outcome"], "warn")}"><p class="over"><span class="outcome">'
        f"{_safe(WORDS[card['outcome']])}</span> <strong>{_safe(card['endpoint'])}</strong></p>"
        f'<h1>{_safe(headline(card))}</h1><p class="quiet">{told}</p></header>'
    )


def _answers(card: Mapping[str, Any]) -> str:
    """Return what a person on call asks, in their order: why, who was hurt, what runs now, what do I do."""
    first = headline(card)
    whys = [one for one in card["reasons"] if one and one not in first]
    if card["verdict"] and card["outcome"] != "rejected":
        whys = [*card["verdict"]["reasons"], *(one for one in whys if one not in "; ".join(card["verdict"]["reasons"]))]
        whys = [one for one in whys if one not in first]
    rows = [("Why", tuple(dict.fromkeys(whys))), ("What users lost", (harm_words(card),))]
    rows += [("Live now", (live_words(card),)), ("Do next", (next_step(card),))]
    rows += [("Runbook", (runbook_entry(card),))]
    drawn = "".join(
        f"<div><dt>{name}</dt>{''.join(f'<dd>{_linked(one)}</dd>' for one in told)}</div>"
        for name, told in rows
        if any(told)
    )
    return f'<dl class="answers">{drawn}</dl>'


def _problems(problems: Sequence[Mapping[str, str]]) -> str:
    if not problems:
        return ""
    items = "".join(
        f"<li><strong>{_safe(one['what'])}</strong>{f' ({_safe(one["where"])})' if one.get('where') else ''}"
        f'<br>{_safe(one.get("fix", ""))} <span class="quiet">{_safe(one["code"])}</span></li>'
        for one in problems
    )
    return f"<h2>Problems</h2><ul>{items}</ul>"


def _rollout(card: Mapping[str, Any], bins: Sequence[Bin], answers: Sequence[AnswerBin]) -> str:
    """Return the charts with their legend, and the list that the numbered marks point to."""
    if not bins:
        return _list("Timeline", [f"{at}  {what.replace('_', ' ')}" for at, what in card["timeline"]])
    began = origin(card, bins)
    marks = marks_of(card, began)
    legend = (
        '<p class="legend"><span class="key blue">blue: the old model</span> '
        '<span class="key green">green: the new model</span>'
        f"{'<span class="key moved">traffic moved, not judged</span>' if any(one.shift for one in bins) else ''}"
        f" <span>rates: a dot is one period, the line is so far, the band its {percent(1 - _alpha(card))} interval"
        "</span></p>"
    )
    items = "".join(f"<li>{_safe(one.word)} <span>{_offset(one.seconds)}</span></li>" for one in marks)
    missing = "" if card["latency"] else '<p class="quiet">Latency percentiles: not known.</p>'
    return (
        f"<h2>Blue against green</h2>{legend}<figure>{render_rollout(card, bins, marks, answers)}"
        f'<figcaption><ol class="events">{items}</ol>'
        f"0 s is {began:%H:%M:%S} UTC, green's first traffic. {_interval_words(card)}</figcaption></figure>{missing}"
    )


def _offset(at: float) -> str:
    return f"{at:+.0f} s" if abs(at) < 600 else f"{at / 60:+.1f} min"


def _interval_words(card: Mapping[str, Any]) -> str:
    return (
        f"Intervals hold at every moment one looks (anytime-valid, {percent(1 - _alpha(card))}), if requests fail "
        "independently at a steady rate. The judge decides on evidence, not on intervals."
    )


def _alpha(card: Mapping[str, Any]) -> float:
    return float((card["policy"].get("judge") or {}).get("alpha", 0.01))


def _comparison(card: Mapping[str, Any]) -> str:
    """Return both fleets side by side: rates with intervals, latency, and what the evidence was."""
    rows = [
        f'<tr><th scope="row">{_metric_name(one)}'
        f"{' (shown only)' if one['observed_only'] else ''}</th>{_rate(one, 'blue', card)}{_rate(one, 'green', card)}"
        f"<td>{f'{one["ratio"]:.3g}x' if one['ratio'] is not None else '-'}</td><td>{_safe(one['evidence'])}</td></tr>"
        for one in card["verdict"].get("metrics", ())
    ]
    if not rows:
        return ""
    if card["latency"]:
        told = "".join(f"<td>{_safe(latency_words(card['latency'][fleet]))}</td>" for fleet in ("blue", "green"))
        rows.append(f'<tr><th scope="row">Latency</th>{told}<td>-</td><td>-</td></tr>')
    head = "".join(f'<th scope="col">{one}</th>' for one in ("", "blue (old)", "green (new)", "ratio", "evidence"))
    return (
        f'<h2>What the judge weighed</h2><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f'<tbody>{"".join(rows)}</tbody></table></div><p class="quiet">Together {_safe(card["verdict"]["evidence"])}; '
        f"a roll back needs {_safe(card['verdict']['bar'])}.</p>"
    )


def _metric_name(one: Mapping[str, Any]) -> str:
    named = METRIC_NAMES.get(one["metric"], str(one["metric"]))
    return _safe(f"{named}: {one['answer']}" if one.get("answer") else named)


def _rate(metric: Mapping[str, Any], fleet: str, card: Mapping[str, Any]) -> str:
    bad, requests = metric[f"{fleet}_bad"], metric[f"{fleet}_requests"]
    if not requests:
        return "<td>no requests</td>"
    low, high = rate_interval(bad, requests, _alpha(card), card["clump"])
    return (
        f"<td><strong>{percent(bad / requests)}</strong> <span>{percent(low)} to {percent(high)}</span>"
        f"<br><span>{bad:,} of {requests:,}</span></td>"
    )


def _artifact_rows(card: Mapping[str, Any]) -> list[tuple[str, object]]:
    artifact = card["artifact"]
    return [
        ("Uploaded to", artifact["source"]),
        ("sha256", artifact["sha256"]),
        ("Size", f"{artifact['size_bytes']:,} bytes" if artifact["size_bytes"] else ""),
        ("TensorFlow", artifact["tensorflow_version"]),
        ("Golden requests", artifact["golden_requests"]),
    ]


def _policy_rows(card: Mapping[str, Any]) -> list[tuple[str, object]]:
    policy = card["policy"]
    if not policy:
        return []
    endpoint, rules, slo = policy["endpoint"], policy["judge"], policy["slo"]
    ceilings = [f"errors {percent(slo['error_rate'])}"] if slo["error_rate"] is not None else []
    ceilings += [f"{name} {value:g} ms" for name, value in slo["latency_ms"].items()]
    shown = f"; shown only: {', '.join(rules['observe'])}" if rules["observe"] else ""
    quality = policy.get("quality") or {}
    drift = (
        f"{quality['output']}: no class more often by {percent(quality['tolerance'])} of all, judged on "
        f"{percent(quality['every'])} of requests"
        if quality.get("output")
        else ""
    )
    return [
        ("Strategy", card.get("strategy_words") or card["strategy"] or policy["strategy"]),
        ("Fleet", f"{card['instance_count'] or endpoint['instance_count']} x {endpoint['instance_type']}"),
        ("Roll back when", f"over {rules['margin']:g}x blue and over {percent(rules['floor_errors'])} errors, or "
            f"{percent(rules['floor_slow'])} slow; false alarms at most {percent(rules['alpha'])} of releases{shown}"),
        ("Answers (quality)", drift),
        ("If not sure", policy["on_inconclusive"]),
        ("If blind", policy["on_blind"]),
        ("Ceilings (slo)", ", ".join(ceilings) or "none"),
    ]  # fmt: skip


def _release_rows(card: Mapping[str, Any]) -> list[tuple[str, object]]:
    rows = [(f"Alarm {clock(one['at'])}", f"{one['name']}: {one['reason']}") for one in card["alarms"]]
    rows += [("Aborted by", card["aborted_by"]), ("Previous", card["previous"]), ("Uploaded", card["uploaded_at"])]
    return [*rows, ("Started", card["started_at"]), ("Ended", card["finished_at"]), ("Report", card["report_url"])]


def _facts(title: str, rows: Sequence[tuple[str, object]]) -> str:
    listed = "".join(f"<dt>{_safe(name)}</dt><dd>{_linked(text)}</dd>" for name, text in rows if text not in ("", None))
    return f'<h2>{title}</h2><dl class="facts">{listed}</dl>' if listed else ""


def _linked(text: object) -> str:
    shown = _safe(text)
    if str(text).startswith("https://") and urlsplit(str(text)).scheme == "https":
        return f'<a href="{escape(str(text))}">{shown}</a>'
    return shown


def _table(card: Mapping[str, Any], bins: Sequence[Bin]) -> str:
    began = origin(card, bins)
    rows = "".join(
        f"<tr><td>{seconds(one.start, began):.0f} s</td>{_cells(one.blue)}{_cells(one.green)}"
        f"<td>{'traffic moved' if one.shift else ''}</td></tr>"
        for one in bins
    )
    head = "<th>period</th>" + "".join(
        f"<th>{fleet} {what}</th>" for fleet in ("blue", "green") for what in ("requests", "errors", "slow")
    )
    return (
        f'<details><summary>All {len(bins)} periods in numbers</summary><div class="wide"><table class="bins">'
        f"<thead><tr>{head}<th></th></tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _cells(counts: Counts | None) -> str:
    if counts is None:
        return '<td colspan="3">no data</td>'
    slow = "?" if counts.slow is None else counts.slow
    return f"<td>{counts.requests}</td><td>{counts.errors}</td><td>{slow}</td>"


def _list(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return f"<h2>{_safe(title)}</h2><ul>{''.join(f'<li>{_safe(line)}</li>' for line in lines)}</ul>"


def _policy_text(policy: Mapping[str, Any]) -> str:
    if not policy:
        return ""
    text = json.dumps(policy, indent=1, ensure_ascii=True)
    return f"<details><summary>The whole policy as it was resolved</summary><pre>{escape(text)}</pre></details>"
