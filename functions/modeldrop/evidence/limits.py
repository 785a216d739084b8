"""What a verdict says nothing about, for this release: a reader must not take it for more than it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def not_covered(card: Mapping[str, Any]) -> list[str]:
    """Return the sentences; none where there was no verdict."""
    verdict = card["verdict"]
    if not verdict:
        return []
    judged = {one["metric"] for one in verdict["metrics"] if not one["observed_only"]}
    told = [f"Whether the answers are right: {_judged_words(judged)}."]
    if "slow" not in judged:
        told.append("Latency: slow requests were not judged in this release.")
    if card["canary_instances"] == 1:
        told.append("The luck of one instance: green was a single, freshly started one, and blue a warm fleet.")
    elif card["canary_instances"]:
        told.append(f"The luck of a few instances: green was {card['canary_instances']} freshly started ones.")
    if verdict["bins_skipped"]:
        told.append(f"Periods in which traffic moved, or from before the canary: {verdict['bins_skipped']} left out.")
    if card["outcome"] == "promoted":
        told.append("What comes after the last judged period, and what only full traffic shows.")
    if verdict["outcome"] == "inconclusive":
        told.append("Inconclusive is not healthy: a defect smaller than this traffic shows may still be there.")
    return [*told, "Requests that are not routed at random, and counts that CloudWatch corrects later."]


def _judged_words(judged: Collection[str]) -> str:
    if "drift" in judged:
        return "how often each was given was judged, on a sample, not each one"
    counted = [noun for metric, noun in (("errors", "failures"), ("slow", "slow requests")) if metric in judged]
    return f"counts of {' and '.join(counted)} were judged, not contents" if counted else "nothing was judged"
