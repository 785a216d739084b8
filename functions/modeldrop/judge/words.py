"""A metric's result in words, the same in verdicts, messages and reports."""

from __future__ import annotations

from modeldrop.judge.verdict import MetricVerdict


def headline(one: MetricVerdict) -> str:
    """Say the effect in a few words: `errors 9x blue`, `says "positive" to 100%, blue to 52%`."""
    if one.metric == "drift":
        return f'says "{one.answer}" to {percent(one.green_rate)}, blue to {percent(one.blue_rate)}'
    noun = "errors" if one.metric == "errors" else "slow requests"
    if one.ratio is None:
        return f"{noun} on {percent(one.green_rate)} of green, none on blue"
    return f"{noun} {one.ratio:.2g}x blue" if one.ratio < 9.95 else f"{noun} {one.ratio:.0f}x blue"


def describe(one: MetricVerdict) -> str:
    """Say a metric's counts: `green 14 errors of 310 requests (4.5%), blue 14 of 2790 (0.5%)`."""
    if one.metric == "drift":
        if not one.green_requests or not one.blue_requests:
            return f"answers: captured of green {one.green_requests}, of blue {one.blue_requests}, nothing to compare"
        return (
            f'green answered "{one.answer}" {one.green_bad} times of {one.green_requests} ({percent(one.green_rate)}), '
            f"blue {one.blue_bad} of {one.blue_requests} ({percent(one.blue_rate)})"
        )
    noun = "errors" if one.metric == "errors" else "slow"
    return (
        f"green {one.green_bad} {noun} of {one.green_requests} requests ({percent(one.green_rate)}), "
        f"blue {one.blue_bad} of {one.blue_requests} ({percent(one.blue_rate)})"
    )


def percent(rate: float | None) -> str:
    """Write a rate with two digits that count: `0.05%`, `4.5%`, `12%`; `no requests` where there was none."""
    if rate is None:
        return "no requests"
    hundred = rate * 100
    if hundred == 0:
        return "0%"
    if hundred >= 9.95:
        return f"{hundred:.0f}%"
    if hundred >= 0.995:
        return f"{hundred:.1f}%"
    return f"{hundred:.2g}%"
