"""The terms of a judgement: all that `judge` is given beside the bins, kept with them so that a replay is exact."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, get_args

from modeldrop.judge.answers import AnswerBin, DriftTerms, answer_line, drift_terms_from_json, drift_terms_to_json
from modeldrop.judge.bins import Bin, BinFormatError, bin_to_json
from modeldrop.judge.judge import EXPECTED_BINS, judge
from modeldrop.judge.luck import instance_luck
from modeldrop.judge.verdict import Verdict
from modeldrop.policy.model import JudgePolicy, MetricName, Policy, RateName
from modeldrop.policy.wire import judge_policy_from_json


@dataclass(frozen=True)
class Terms:
    """What one rollout is judged with, the same at each of its looks; the fields are those of `judge`.

    policy: the judge's part of the release's policy, as it was pinned.
    """

    policy: JudgePolicy
    canary_started: datetime
    clump: int = 1
    green_share: float | None = None
    expected_bins: int = EXPECTED_BINS
    metrics: tuple[RateName, ...] | None = None
    blue_rates: Mapping[RateName, float] = field(default_factory=dict)
    error_ceiling: float | None = None
    drift: DriftTerms | None = None
    luck: float = 1.0

    def under(self, policy: Policy) -> Terms:
        """The same rollout judged by another policy: what was measured or done stays, what the policy says is new."""
        return replace(
            self,
            policy=policy.judge,
            clump=policy.judge.clump or self.clump,
            error_ceiling=policy.slo.error_rate,
            drift=self.drift and replace(self.drift, tolerance=policy.quality.tolerance),
        )


def judge_by(terms: Terms, bins: Sequence[Bin], answers: Sequence[AnswerBin] = ()) -> Verdict:
    """Judge bins and captured answers by their terms."""
    return judge(
        bins,
        terms.policy,
        canary_started=terms.canary_started,
        clump=terms.clump,
        luck=terms.luck,
        green_share=terms.green_share,
        expected_bins=terms.expected_bins,
        metrics=terms.metrics,
        blue_rates=terms.blue_rates,
        error_ceiling=terms.error_ceiling,
        answers=answers,
        drift=terms.drift,
    )


def assumed_terms(policy: Policy, bins: Sequence[Bin]) -> Terms:
    """The terms of bins that came without any: green got its first traffic with the first bin, as the policy says.

    Clumps are 1 where the policy leaves them to be measured, and blue's past rate is not known.
    """
    instances = policy.endpoint.instance_count
    share = policy.strategy.first_share(instances)
    return Terms(
        policy=policy.judge,
        canary_started=min(one.start for one in bins),
        clump=policy.judge.clump or 1,
        luck=instance_luck(share, instances),
        green_share=share,
        expected_bins=max(1, policy.strategy.first_bake_seconds(instances) // policy.endpoint.metrics_every_seconds),
        error_ceiling=policy.slo.error_rate,
    )


def terms_to_json(terms: Terms) -> dict[str, Any]:
    """Return the terms as the first line of bins.jsonl holds them."""
    return {
        **asdict(terms),
        "policy": {**asdict(terms.policy), "observe": list(terms.policy.observe)},
        "canary_started": terms.canary_started.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "metrics": None if terms.metrics is None else list(terms.metrics),
        "blue_rates": dict(terms.blue_rates),
        "drift": terms.drift and drift_terms_to_json(terms.drift),
    }


def terms_from_json(data: Any) -> Terms:
    """Read what `terms_to_json` wrote; BinFormatError says that it cannot be read."""
    try:
        metrics, known = data["metrics"], get_args(MetricName)
        named = {*(metrics or ()), *data["blue_rates"], *data["policy"]["observe"]}
        if unknown := sorted(named.difference(known)):
            raise ValueError(f"unknown metric {unknown[0]!r:.40}")
        terms = Terms(
            **{
                **data,
                "policy": judge_policy_from_json(data["policy"]),
                "canary_started": datetime.fromisoformat(data["canary_started"]),
                "metrics": None if metrics is None else tuple(metrics),
                "blue_rates": {name: float(rate) for name, rate in data["blue_rates"].items()},
                "drift": drift_terms_from_json(data["drift"]) if data.get("drift") else None,
            }
        )
        if terms.canary_started.tzinfo is None or terms.expected_bins < 1 or not terms.luck >= 1:
            raise ValueError("canary_started needs a zone, and expected_bins and luck are at least 1")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BinFormatError(f"the terms in the first line cannot be read: {type(error).__name__} {error}") from None
    return terms


def write_bins(bins: Sequence[Bin], terms: Terms, answers: Sequence[AnswerBin] = ()) -> str:
    """Return bins.jsonl: a bin a line, in the first one also the terms, then a line a period of captured answers."""
    lines = [bin_to_json(one) for one in bins]
    lines[0] |= {"terms": terms_to_json(terms)}
    return "".join(f"{line}\n" for line in (*map(json.dumps, lines), *map(answer_line, answers)))


def read_terms(lines: Sequence[str]) -> Terms | None:
    """Return the terms in the first line that is not empty; None where a file has bins alone."""
    first = next((line for line in lines if line.strip()), "{}")
    try:
        line = json.loads(first)
    except ValueError as error:
        raise BinFormatError(f"line 1: {error}") from None
    return terms_from_json(line["terms"]) if isinstance(line, dict) and line.get("terms") is not None else None
