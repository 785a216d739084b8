"""Prediction drift: what the judge says of green's answers, and that it is not fooled more often than it promises."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from modeldrop.judge.answers import OTHER, AnswerBin, DriftTerms, answer_line, read_answers, shares_of
from modeldrop.judge.bins import Bin, BinFormatError, Counts, read_bins
from modeldrop.judge.drift import PARTS, drift_course, gap_step
from modeldrop.judge.judge import Verdict, judge, verdict_from_json, verdict_to_json
from modeldrop.judge.process import Tally
from modeldrop.judge.terms import Terms, judge_by, read_terms, write_bins
from modeldrop.policy.model import JudgePolicy

START = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
USUAL = {"positive": 0.5, "negative": 0.4, "neutral": 0.1}
TERMS = DriftTerms(tolerance=0.1, shares=USUAL)
Classes = Mapping[str, int] | None


def answers(number: int, green: Classes, blue: Classes, *, shift: bool = False) -> AnswerBin:
    return AnswerBin(START + timedelta(seconds=10 * number), 10, blue, green, shift=shift)


def quiet(count: int) -> list[Bin]:
    """Bins in which nothing fails."""
    return [Bin(START + timedelta(seconds=10 * n), 10, Counts(900, 0), Counts(100, 0)) for n in range(count)]


def judged(told: list[AnswerBin], terms: DriftTerms = TERMS, policy: JudgePolicy | None = None, **more: Any) -> Verdict:
    return judge(
        quiet(len(told)),
        policy or JudgePolicy(),
        **{"canary_started": START, "green_share": 0.1, "answers": told, "drift": terms, **more},
    )


def as_usual(total: int) -> dict[str, int]:
    return {name: round(share * total) for name, share in USUAL.items()}


def test_a_model_that_says_positive_to_everyone_is_bad_though_nothing_fails() -> None:
    verdict = judged([answers(n, {"positive": 20}, as_usual(180)) for n in range(3)])
    assert verdict.outcome == "bad"
    assert verdict.reasons[0].startswith('says "positive" to 100%, blue to 50% after ')
    drift = verdict.metrics[-1]
    assert (drift.metric, drift.answer, drift.tolerance) == ("drift", "positive", 0.1)


def test_the_same_answers_on_both_fleets_are_never_bad_and_in_time_safe() -> None:
    told = [answers(n, as_usual(100), as_usual(900)) for n in range(30)]
    verdict = judged(told, policy=JudgePolicy(observe=("errors",)), metrics=("errors",))
    assert verdict.outcome == "safe", verdict.reasons
    assert "no answer more often by 20% of all" in verdict.reasons[0]


def test_growth_within_the_tolerance_is_never_bad() -> None:
    shifted = {"positive": 590, "negative": 320, "neutral": 90}
    assert judged([answers(n, shifted, as_usual(9000)) for n in range(30)]).outcome != "bad"
    tight = DriftTerms(tolerance=0.02, shares=USUAL)
    assert judged([answers(n, shifted, as_usual(9000)) for n in range(30)], tight).outcome == "bad"


def test_other_traffic_that_changes_the_answers_of_both_fleets_is_no_drift() -> None:
    flood = {"negative": 95, "positive": 5}
    told = [answers(n, as_usual(100), as_usual(900)) for n in range(5)]
    told += [answers(n, flood, {name: 9 * count for name, count in flood.items()}) for n in range(5, 30)]
    assert judged(told).outcome != "bad"


def test_a_class_that_blue_never_gave_is_counted_as_any_other() -> None:
    verdict = judged([answers(n, {"broken": 8, **as_usual(12)}, as_usual(180)) for n in range(6)])
    assert verdict.outcome == "bad"
    assert verdict.metrics[-1].answer == OTHER


def test_a_class_that_is_nearly_every_answer_can_still_lose_to_a_rare_one() -> None:
    terms = DriftTerms(0.1, {"fine": 0.97, "fraud": 0.03})
    verdict = judged([answers(n, {"fine": 50, "fraud": 50}, {"fine": 873, "fraud": 27}) for n in range(4)], terms)
    assert verdict.outcome == "bad"
    assert verdict.metrics[-1].answer == "fraud"


def test_periods_in_which_traffic_moved_or_of_before_the_canary_are_not_judged() -> None:
    one_sided = [answers(n, {"positive": 100}, as_usual(900), shift=True) for n in range(6)]
    assert judged(one_sided).metrics[-1].bins == 0
    early = [answers(n, {"positive": 100}, as_usual(900)) for n in range(6)]
    assert judged(early, canary_started=START + timedelta(hours=1)).metrics[-1].bins == 0


def test_answers_that_were_captured_of_one_fleet_only_are_told_and_judge_nothing() -> None:
    verdict = judged([answers(n, None, as_usual(900)) for n in range(30)])
    assert verdict.outcome == "inconclusive"
    assert any("no answers of green were captured, and 27000 of blue" in one for one in verdict.warnings)


def test_drift_that_is_only_observed_does_not_act() -> None:
    told = [answers(n, {"positive": 100}, as_usual(900)) for n in range(6)]
    verdict = judged(told, policy=JudgePolicy(observe=("drift",)))
    assert verdict.outcome != "bad"
    assert verdict.metrics[-1].observed_only
    assert verdict.metrics[-1].log10_evidence > 2


def test_equal_answers_that_come_in_clumps_need_more_of_them() -> None:
    told = [answers(0, {"positive": 20}, as_usual(180))]
    one, five = (judged(told, DriftTerms(0.1, USUAL, clump)).metrics[-1].log10_evidence for clump in (1, 5))
    assert one > 2 > five


def test_late_drift_is_found() -> None:
    told = [answers(n, as_usual(20), as_usual(180)) for n in range(20)]
    told += [answers(n, {"positive": 20}, as_usual(180)) for n in range(20, 26)]
    assert judged(told[:20]).outcome != "bad"
    assert judged(told).outcome == "bad"


def test_the_step_has_a_mean_of_at_most_one_under_everything_the_claim_allows() -> None:
    """Exact: summed over every outcome of 4 green and 6 blue answers, for shares on and inside the claim's edge."""
    for gap in (0.1, -0.2):
        for blue_bet in (0.25, 0.5, 0.7):
            green_bet = blue_bet + gap + 0.15
            worst = max(
                _mean(4, 6, gap, green_bet, blue_bet, green, blue)
                for blue in (0.0, 0.05, 0.21, 0.3, 0.5, 0.7, 0.9, 1.0)
                for green in {min(1.0, max(0.0, blue + gap - less)) for less in (0.0, 0.05, 0.4)}
                if green <= blue + gap
            )
            assert worst <= 1 + 1e-6, (gap, blue_bet)


def _mean(greens: int, blues: int, gap: float, green_bet: float, blue_bet: float, green: float, blue: float) -> float:
    def chance(bad: int, of: int, share: float) -> float:
        return math.comb(of, bad) * share**bad * (1 - share) ** (of - bad)

    return math.fsum(
        chance(g, greens, green)
        * chance(b, blues, blue)
        * math.exp(gap_step(Tally(g, greens, b, blues), gap, green_bet, blue_bet))
        for g in range(greens + 1)
        for b in range(blues + 1)
    )


NULLS = {
    "equal": (lambda _: 0.5, lambda _: 0.5),
    "at the tolerance": (lambda _: 0.6, lambda _: 0.5),
    "traffic drifts under both": (lambda n: 0.2 + 0.04 * n, lambda n: 0.2 + 0.04 * n),
    "blue is not what it was": (lambda _: 0.9, lambda _: 0.8),
    "rare class at the tolerance": (lambda _: 0.11, lambda _: 0.01),
}


# the two hardest in each run, the others in the long one
IN_EACH_RUN = ("at the tolerance", "rare class at the tolerance")


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=[] if one in IN_EACH_RUN else pytest.mark.long) for one in NULLS]
)
def test_false_alarms_stay_under_alpha(name: str) -> None:
    """Evidence at alpha 5%, looked at after each of 15 periods: at most 5% and three standard errors of 200 runs."""
    green_share, blue_share = NULLS[name]
    chance, runs, alarms = random.Random(f"drift {name}"), 200, 0
    terms = DriftTerms(0.1, {"yes": 0.5, "no": 0.5})
    for _ in range(runs):
        told = [answers(n, _drawn(chance, 10, green_share(n)), _drawn(chance, 40, blue_share(n))) for n in range(15)]
        course = drift_course(told, terms, canary_started=START, expected_bins=15, acting=True)
        alarms += max(course.evidence.values()) >= -math.log(0.05)
    assert alarms / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def _drawn(chance: random.Random, count: int, share: float) -> Counter[str]:
    return Counter("yes" if chance.random() < share else "no" for _ in range(count))


def test_blue_without_answers_bets_nothing() -> None:
    assert gap_step(Tally(10, 10, 0, 0), 0.1, 0.9, 0.5) == 0.0
    assert gap_step(Tally(0, 0, 5, 10), 0.1, 0.9, 0.5) == 0.0


def test_more_of_a_class_is_more_evidence() -> None:
    steps = [gap_step(Tally(bad, 20, 90, 180), 0.1, 0.95, 0.5) for bad in range(21)]
    assert all(one < other for one, other in pairwise(steps))


def test_the_most_frequent_classes_are_kept_and_all_the_others_are_one() -> None:
    shares = shares_of({f"class {n}": 100 - n for n in range(50)})
    assert list(shares)[:2] == ["class 0", "class 1"]
    assert len(shares) == 20
    assert sum(shares.values()) < 1
    assert shares_of({}) == {}


def test_a_replay_of_the_written_lines_gives_the_same_verdict() -> None:
    told = [answers(n, {"positive": 20, 'a "quote"': 1}, as_usual(180), shift=n == 0) for n in range(4)]
    told.append(answers(4, None, as_usual(180)))
    terms = Terms(JudgePolicy(), START, green_share=0.1, metrics=("errors",), drift=TERMS)
    bins = quiet(5)
    lines = write_bins(bins, terms, told).splitlines()
    again = judge_by(read_terms(lines) or terms, read_bins(lines), read_answers(lines))
    assert read_terms(lines) == terms
    assert again == judge_by(terms, bins, told)
    assert again.outcome == "bad"
    assert verdict_from_json(verdict_to_json(again)).reasons == again.reasons


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ('{"t": "2026-11-23T20:00:00Z", "seconds": 10, "answers": {"blue": {"a": -1}, "green": null}}', "-1"),
        ('{"t": "2026-11-23T20:00:00Z", "seconds": 10, "answers": {"blue": {"a": true}, "green": null}}', "True"),
        ('{"t": "2026-11-23T20:00:00", "seconds": 10, "answers": {"blue": null, "green": null}}', "zone"),
        ('{"t": "2026-11-23T20:00:00Z", "seconds": 0, "answers": {"blue": null, "green": null}}', "seconds"),
        ('{"t": "2026-11-23T20:00:00Z", "seconds": 10, "answers": {"blue": null}}', "green"),
        ('{"t": "2026-11-23T20:00:00Z", "seconds": 10, "answers": 7}', "answers"),
    ],
)
def test_a_line_that_cannot_be_answers_is_named(line: str, word: str) -> None:
    with pytest.raises(BinFormatError, match=rf"line 2: .*{word}"):
        read_answers(["", line])


def test_lines_of_answers_and_of_bins_are_told_apart() -> None:
    lines = [answer_line(answers(0, {"a": 1}, None))]
    assert read_bins(lines) == []
    assert read_answers(lines)[0].green == {"a": 1}
    assert len(PARTS) > 1
