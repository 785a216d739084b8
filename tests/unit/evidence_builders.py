"""Releases at their end, for the tests of the evidence card."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from modeldrop.evidence.card import Harm, Surroundings, build_card
from modeldrop.judge.answers import AnswerBin, DriftTerms
from modeldrop.judge.bins import Bin, Counts
from modeldrop.judge.judge import judge, verdict_to_json
from modeldrop.policy.model import JudgePolicy
from modeldrop.policy.wire import policy_to_json
from modeldrop.release.outcome import Ending
from modeldrop.release.record import Outcome, ReleaseRecord
from modeldrop.rollout.plan import plan_to_json
from tests.unit.rollout_builders import RELEASE, a_demo_policy, a_plan

CANARY = datetime(2026, 11, 23, 20, 10, 10, tzinfo=UTC)
LIVE = "sentiment-20261120101500-77ab01"
SHA256 = "9b1d" * 16
REPORT = f"https://reports.example/sentiment/{RELEASE}/evidence.html"


def some_bins(green_errors: int = 1, count: int = 6) -> list[Bin]:
    """Bins of a canary: the first one is a shift, green fails `green_errors` times in each."""
    return [
        Bin(
            CANARY + timedelta(seconds=10 * number),
            10,
            Counts(180, 1, 9),
            Counts(20, green_errors, 1 + number % 2),
            shift=number == 0,
        )
        for number in range(count)
    ]


def a_verdict(green_errors: int = 1, count: int = 6, bins: list[Bin] | None = None) -> dict[str, Any]:
    verdict = judge(
        some_bins(green_errors, count) if bins is None else bins,
        JudgePolicy(warm_up_seconds=0),
        canary_started=CANARY,
        green_share=0.1,
        expected_bins=6,
    )
    return verdict_to_json(verdict)


def some_answers(positive: int = 20, count: int = 6) -> list[AnswerBin]:
    """Answers captured in a canary: of green's 20 in each period `positive` are positive, of blue's 180 half."""
    green = {"positive": positive, "negative": 20 - positive}
    return [
        AnswerBin(
            CANARY + timedelta(seconds=10 * number), 10, {"positive": 90, "negative": 90}, green, shift=number == 0
        )
        for number in range(count)
    ]


def a_drift_verdict(positive: int = 20) -> dict[str, Any]:
    verdict = judge(
        some_bins(0),
        JudgePolicy(warm_up_seconds=0),
        canary_started=CANARY,
        green_share=0.1,
        expected_bins=6,
        answers=some_answers(positive),
        drift=DriftTerms(0.1, {"positive": 0.5, "negative": 0.5}),
    )
    return verdict_to_json(verdict)


def stamp(seconds: int) -> str:
    return (CANARY + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def a_record(*, rolled: bool = True, **overrides: Any) -> ReleaseRecord:
    """A release at its end; rolled: it came as far as a rollout."""
    values: dict[str, Any] = {
        "endpoint": "sentiment",
        "release": RELEASE,
        "bucket": "uploads",
        "key": "sentiment/v3/model.tar.gz",
        "version_id": "v-1",
        "label": "v3",
        "size_bytes": 1_234_567,
        "uploaded_at": stamp(-120),
    }
    if rolled:
        values |= {
            "artifact": {"sha256": SHA256, "tensorflow_version": "2.20.0", "golden_requests": 4, "warnings": []},
            "plan": plan_to_json(a_plan(policy=a_demo_policy())),
            "policy": policy_to_json(a_demo_policy()),
            "verdict": a_verdict(),
            "rollout": {
                "started_at": stamp(-60),
                "passage": {"bakes": [stamp(0)], "shifts": [[stamp(-5), stamp(0)]], "rolling_back_since": None},
                "timeline": [[stamp(-60), "provisioning green"], [stamp(0), "canary"]],
                "alarms_fired": [],
            },
        }
    return ReleaseRecord(**(values | overrides))


def fired(name: str, seconds: int) -> dict[str, str]:
    return {"name": f"{RELEASE}-{name}", "at": stamp(seconds), "reason": "Threshold Crossed"}


def a_roll_back(record: ReleaseRecord, *alarms: dict[str, str]) -> dict[str, Any]:
    timeline = [*record.rollout["timeline"], [stamp(52), "rolling_back"]]
    passage = {**record.rollout["passage"], "rolling_back_since": stamp(52)}
    return {**record.rollout, "timeline": timeline, "passage": passage, "alarms_fired": list(alarms)}


def a_card(outcome: Outcome, *reasons: str, record: ReleaseRecord | None = None, **around: Any) -> dict[str, Any]:
    record = record or a_record()
    values: dict[str, Any] = {
        "finished_at": stamp(69),
        "serves": record.plan.get("previous_config", ""),
        "live": LIVE,
        "previous": "",
        "live_unchanged": True,
        "report_url": REPORT,
        "harm": Harm(310, 14),
    }
    return build_card(record, Ending(outcome, reasons), Surroundings(**(values | around)))
