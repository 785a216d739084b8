"""What the judge says, and why."""

from __future__ import annotations

import dataclasses
import json
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modeldrop.judge.bins import Bin, Counts
from modeldrop.judge.judge import Verdict, judge, odds, verdict_from_json, verdict_to_json
from modeldrop.policy.model import JudgePolicy

START = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
ERRORS_ONLY = JudgePolicy(observe=("slow",))


def a_bin(number: int, green: Counts | None, blue: Counts | None, *, seconds: int = 60, shift: bool = False) -> Bin:
    return Bin(START + timedelta(seconds=seconds * number), seconds, blue, green, shift=shift)


def steady(count: int, green: Counts | None, blue: Counts | None, **more: Any) -> list[Bin]:
    return [a_bin(number, green, blue, **more) for number in range(count)]


def judged(bins: list[Bin], policy: JudgePolicy = ERRORS_ONLY, **more: Any) -> Verdict:
    return judge(bins, policy, **{"canary_started": START, "green_share": 0.1, **more})


def one_bin(green_bad: int, green: int, blue_bad: int, blue: int) -> Verdict:
    return judged([a_bin(0, Counts(green, green_bad), Counts(blue, blue_bad))])


def test_three_failures_of_three_are_not_enough_and_four_of_four_are() -> None:
    assert one_bin(3, 3, 0, 27).outcome == "inconclusive"
    assert one_bin(4, 4, 0, 36).outcome == "bad"


def test_two_failures_of_three_hundred_are_watched_and_four_are_rolled_back() -> None:
    assert one_bin(2, 300, 0, 3000).outcome == "inconclusive"
    assert one_bin(4, 300, 0, 3000).outcome == "bad"


def test_the_reason_carries_effect_time_and_counts() -> None:
    verdict = one_bin(14, 310, 14, 2790)
    assert verdict.reasons[0] == "errors 9x blue after 60 s of canary"
    assert verdict.reasons[1] == (
        "green 14 errors of 310 requests (4.5%), blue 14 of 2790 (0.5%), evidence 1860:1 (needs 100:1)"
    )


def test_green_as_good_as_blue_is_never_bad() -> None:
    verdict = judged(steady(30, Counts(300, 3), Counts(2700, 27)))
    assert verdict.outcome == "safe"
    assert verdict.log10_evidence < 0


def test_a_shared_shock_cancels_out() -> None:
    calm = steady(10, Counts(100, 1), Counts(900, 9))
    calm[5] = a_bin(5, Counts(100, 40), Counts(900, 360))
    assert judged(calm).outcome != "bad"


def test_a_difference_under_the_floor_is_not_worth_a_roll_back() -> None:
    tiny = steady(30, Counts(100_000, 50), Counts(900_000, 90))
    assert judged(tiny).outcome != "bad"
    assert judged(tiny).metrics[0].log10_ratio > 2
    assert judged(tiny, dataclasses.replace(ERRORS_ONLY, floor_errors=0.0001)).outcome == "bad"


def test_a_difference_under_the_margin_is_not_worth_a_roll_back() -> None:
    assert judged(steady(30, Counts(1000, 14), Counts(9000, 90))).outcome != "bad"
    assert judged(steady(30, Counts(1000, 14), Counts(9000, 90)), JudgePolicy(margin=1.0)).outcome == "bad"


def test_a_bad_blue_caps_the_margin() -> None:
    worse = steady(30, Counts(1000, 570), Counts(9000, 3600))
    assert judged(worse).outcome != "bad"
    assert judged(worse, blue_rates={"errors": 0.4}).outcome == "bad"
    assert judged(worse, blue_rates={"errors": 0.4}).metrics[0].margin == pytest.approx(1.125)


def test_a_bad_verdict_stays_bad_and_says_when_it_was_reached() -> None:
    bins = steady(2, Counts(100, 30), Counts(900, 5)) + [
        a_bin(number, Counts(10_000, 0), Counts(90_000, 500)) for number in range(2, 60)
    ]
    verdict = judged(bins)
    assert verdict.outcome == "bad"
    assert verdict.decided_at == START + timedelta(seconds=60)
    assert verdict.decided_after_seconds == 60


def test_what_made_it_bad_is_told_as_it_was_then() -> None:
    first, after = steady(1, Counts(310, 14), Counts(2790, 14)), a_bin(1, Counts(310, 0), Counts(2790, 14))
    assert judged([*first, after]).reasons == judged(first).reasons


def test_looking_often_and_looking_once_agree() -> None:
    bins = [*steady(4, Counts(100, 2), Counts(900, 6)), a_bin(4, Counts(100, 40), Counts(900, 6))]
    assert [judged(bins[:count]).outcome for count in range(1, 6)] == ["inconclusive"] * 4 + ["bad"]
    assert judged(bins).decided_at == bins[-1].end


def test_a_late_defect_is_found() -> None:
    good = steady(18, Counts(30, 0), Counts(270, 1))
    late = [a_bin(number, Counts(30, 3), Counts(270, 1)) for number in range(18, 24)]
    assert judged(good).outcome != "bad"
    assert judged(good + late).outcome == "bad"


def test_bins_in_which_traffic_moved_are_skipped() -> None:
    shifted = steady(5, Counts(100, 90), Counts(900, 0), shift=True)
    verdict = judged(shifted)
    assert verdict.outcome == "inconclusive"
    assert verdict.bins == 0
    assert verdict.bins_skipped == 5


def test_bins_from_before_the_canary_are_skipped() -> None:
    verdict = judged(steady(3, Counts(100, 90), Counts(900, 0)), canary_started=START + timedelta(hours=1))
    assert verdict.outcome == "inconclusive"


def test_a_cold_start_is_forgiven_to_slow_only() -> None:
    policy = JudgePolicy(warm_up_seconds=120)
    cold = steady(2, Counts(100, 0, 90), Counts(900, 0, 45))
    assert judged(cold, policy).outcome == "inconclusive"
    assert judged(cold, JudgePolicy(warm_up_seconds=0)).outcome == "bad"
    assert judged(steady(2, Counts(100, 90, 0), Counts(900, 0, 0)), policy).outcome == "bad"


def test_slow_requests_alone_can_be_bad() -> None:
    verdict = judged(steady(3, Counts(100, 0, 60), Counts(900, 0, 45)), JudgePolicy(warm_up_seconds=0))
    assert verdict.outcome == "bad"
    assert verdict.reasons[0].startswith("slow requests 12x blue")


def test_two_acting_metrics_share_the_bet_three_to_one_for_errors() -> None:
    alone = judged(steady(1, Counts(310, 14), Counts(2790, 14)), metrics=("errors",))
    both = judged(steady(1, Counts(310, 14, 0), Counts(2790, 14, 0)), JudgePolicy(warm_up_seconds=0))
    assert 10**both.log10_evidence == pytest.approx((3 * 10**alone.log10_evidence + 1) / 4, rel=0.01)


def test_an_observed_metric_is_shown_but_does_not_act() -> None:
    verdict = judged(
        steady(3, Counts(100, 0, 90), Counts(900, 0, 45)), JudgePolicy(warm_up_seconds=0, observe=("slow",))
    )
    assert verdict.outcome != "bad"
    slow = next(one for one in verdict.metrics if one.metric == "slow")
    assert slow.observed_only
    assert slow.log10_evidence > 2


def test_clumped_failures_need_more_evidence() -> None:
    bins = steady(1, Counts(4, 4), Counts(36, 0))
    assert judged(bins).outcome == "bad"
    assert judged(bins, clump=4).outcome == "inconclusive"


def test_no_data_on_green_is_blind_and_not_healthy() -> None:
    assert judged(steady(3, None, Counts(89, 0))).outcome == "inconclusive"
    verdict = judged(steady(4, None, Counts(90, 0)))
    assert verdict.outcome == "blind"
    assert "40 requests" in verdict.reason


def test_a_green_that_falls_silent_is_blind() -> None:
    talking = steady(10, Counts(100, 0), Counts(900, 0))
    silent = [a_bin(number, None, Counts(900, 0)) for number in (10, 11)]
    assert judged(talking + silent).outcome == "blind"


def test_no_traffic_at_all_is_inconclusive() -> None:
    assert judged(steady(5, None, None)).outcome == "inconclusive"
    assert judged([]).outcome == "inconclusive"
    assert judged(steady(5, Counts(0, 0), Counts(0, 0))).outcome == "inconclusive"


def test_all_traffic_on_green_compares_nothing() -> None:
    assert judged(steady(5, Counts(1000, 500), None)).outcome == "inconclusive"


def test_few_requests_are_never_safe() -> None:
    verdict = judged(steady(1, Counts(29, 0), Counts(2000, 300)))
    assert verdict.outcome == "inconclusive"
    assert "29" in verdict.reason


def test_an_slo_that_is_shown_makes_safe_without_any_failure() -> None:
    bins = steady(10, Counts(300, 0), Counts(2700, 0))
    assert judged(bins).outcome == "inconclusive"
    assert judged(bins, error_ceiling=0.01).outcome == "safe"


def test_green_is_not_safe_any_more_when_it_turns_bad() -> None:
    bins = steady(20, Counts(1000, 10), Counts(9000, 90))
    turned = [a_bin(number, Counts(1000, 25), Counts(9000, 90)) for number in range(20, 40)]
    assert judged(bins).outcome == "safe"
    assert judged(bins + turned).outcome != "safe"


def test_more_errors_than_requests_are_cut_and_told() -> None:
    verdict = judged(steady(1, Counts(3, 9), Counts(27, 0)))
    assert verdict.metrics[0].green_bad == 3
    assert "errors exceeded requests in 1 counts and was cut to them" in verdict.warnings


def test_a_bin_that_comes_twice_counts_once() -> None:
    first = a_bin(0, Counts(100, 0), Counts(900, 0))
    verdict = judged([first, a_bin(0, Counts(100, 90), Counts(900, 0))])
    assert verdict.metrics[0].green_bad == 0
    assert "two bins begin at 20:00:00" in verdict.warnings[0]


def test_the_order_of_bins_does_not_matter() -> None:
    bins = [*steady(4, Counts(100, 2), Counts(900, 6)), a_bin(4, Counts(100, 40), Counts(900, 6))]
    assert judged(bins[::-1]) == judged(bins)


def test_nothing_acts_when_all_is_observed() -> None:
    verdict = judged(steady(3, Counts(100, 90), Counts(900, 0)), JudgePolicy(observe=("errors", "slow")))
    assert verdict.outcome == "inconclusive"


def test_a_floor_of_zero_leaves_the_ratio_to_decide() -> None:
    policy = dataclasses.replace(ERRORS_ONLY, floor_errors=0.0)
    verdict = judged(steady(1, Counts(310, 14), Counts(2790, 14)), policy)
    assert verdict.outcome == "bad"
    assert verdict_from_json(json.loads(json.dumps(verdict_to_json(verdict)))).metrics[0].log10_floor == 300


def test_a_verdict_survives_json() -> None:
    verdict = judged(steady(3, Counts(100, 20, 3), Counts(900, 6, 40)), JudgePolicy())
    once = verdict_to_json(verdict)
    text = json.dumps(once, allow_nan=False)
    assert verdict_to_json(verdict_from_json(json.loads(text))) == once


def test_a_long_path_is_thinned_but_keeps_its_end() -> None:
    verdict = judged(steady(1000, Counts(10, 0), Counts(90, 1), seconds=10))
    path = verdict_to_json(verdict)["path"]
    assert len(path) <= 241
    assert path[-1][0] == "2026-11-23T22:46:40Z"


@pytest.mark.parametrize(
    ("log10", "text"), [(0.0, "1:1"), (0.15, "1.4:1"), (3.4187, "2622:1"), (-1.7, "1:50"), (40, "over 1000000:1")]
)
def test_evidence_is_told_as_odds(log10: float, text: str) -> None:
    assert odds(log10) == text


def test_chance_rolls_back_at_most_alpha_of_equal_models() -> None:
    chance = random.Random(20261123)
    policy = JudgePolicy(alpha=0.1, margin=1.0, floor_errors=0.00001, observe=("slow",))
    false_alarms = 0
    for _ in range(400):
        bins = [
            a_bin(
                number,
                Counts(60, chance.binomialvariate(60, 0.05)),
                Counts(240, chance.binomialvariate(240, 0.05)),
            )
            for number in range(20)
        ]
        false_alarms += judged(bins, policy, green_share=0.2, expected_bins=20).outcome == "bad"
    assert false_alarms <= 0.1 * 400


def test_counts_that_are_missing_are_not_judged_and_told() -> None:
    policy = JudgePolicy(warm_up_seconds=0)
    bins = steady(3, Counts(100, 0, 90), Counts(900, 0, None)) + steady(5, Counts(100, 0, None), Counts(900, 0, 45))[3:]
    verdict = judged(bins, policy)
    slow = next(one for one in verdict.metrics if one.metric == "slow")
    assert slow.bins == 0
    assert verdict.outcome != "bad"
    assert "slow was missing in 5 counts, which were not judged for it" in verdict.warnings


def test_a_metric_that_has_no_bin_yet_neither_helps_nor_hurts() -> None:
    bins = steady(3, Counts(100, 0), Counts(900, 0))
    verdict = judged(bins, JudgePolicy(), metrics=("errors", "slow"))
    assert [one.bins for one in verdict.metrics] == [3, 0]
    assert verdict.outcome == "inconclusive"


def test_the_effect_comes_with_an_interval_that_holds_at_every_look() -> None:
    errors = one_bin(14, 310, 14, 2790).metrics[0]
    assert errors.ratio == pytest.approx(9.0)
    assert (errors.ratio_low, errors.ratio_high) == pytest.approx((2.06, 39.4), rel=0.01)
    assert one_bin(4, 4, 0, 36).metrics[0].ratio_high is None
    assert judged(steady(5, None, Counts(90, 0))).metrics[0].ratio_low == 0


def test_the_interval_of_a_bad_verdict_is_as_it_was_then() -> None:
    first = steady(1, Counts(310, 14), Counts(2790, 14))
    later = judged([*first, *[a_bin(at, Counts(310, 0), Counts(2790, 14)) for at in range(1, 9)]])
    assert later.metrics == judged(first).metrics


@pytest.mark.parametrize(("green", "blue"), [(100, 900), (40, 360)])
def test_a_blue_that_fails_itself_shows_nothing_of_green(green: int, blue: int) -> None:
    """Neither green's fault, nor a proof that it is safe."""
    verdict = judged(steady(30, Counts(100, green), Counts(900, blue)))
    assert verdict.outcome == "inconclusive"
    assert "a third of blue's requests or more failed" in verdict.warnings[0]


def test_no_failure_on_blue_does_not_hide_greens() -> None:
    verdict = judged(steady(1, Counts(300, 6), Counts(2700, 0)))
    assert verdict.outcome == "bad"
    assert verdict.reasons[0].startswith("errors on 2.0% of green, none on blue")


@pytest.mark.parametrize("broken", [Counts(-5, 0), Counts(100, -1), Counts(100, 0, -3), Counts(10**13, 0)])
def test_a_count_that_cannot_be_is_left_out_and_named(broken: Counts) -> None:
    verdict = judged([a_bin(0, broken, Counts(900, 0)), a_bin(1, Counts(100, 0), Counts(900, 0))])
    assert verdict.bins == 1
    assert "1 bins were not judged" in verdict.warnings[0]


def test_nan_is_left_out_and_named() -> None:
    nan: Any = float("nan")
    verdict = judged([a_bin(0, Counts(nan, nan), Counts(900, 0))])
    assert verdict.outcome == "inconclusive"
    assert "no whole number" in verdict.warnings[0]


def test_a_gap_is_named_and_changes_nothing_else() -> None:
    bins = steady(9, Counts(100, 1), Counts(900, 9))
    verdict = judged([*bins[:3], *bins[6:]])
    assert verdict.bins == 6
    assert "3 periods between the first bin and the last have no bin" in verdict.warnings[0]


def test_a_counter_that_shrank_between_looks_does_not_unfreeze_a_bin() -> None:
    frozen = a_bin(0, Counts(100, 40), Counts(900, 9))
    assert judged([frozen, a_bin(0, Counts(50, 1), Counts(900, 9))]).outcome == "bad"


def test_huge_counts_overflow_nothing() -> None:
    verdict = judged(steady(30, Counts(10**11, 10**11), Counts(9 * 10**11, 10**9)))
    assert verdict.outcome == "bad"
    json.dumps(verdict_to_json(verdict), allow_nan=False)
    assert judged(steady(30, Counts(10**11, 10**9), Counts(9 * 10**11, 9 * 10**9))).outcome == "safe"


@pytest.mark.parametrize("seconds", [10, 60])
def test_a_short_file_is_judged_in_milliseconds(seconds: int) -> None:
    """10,000 of them must replay in half a minute; ten times that is allowed here, for a busy machine."""
    bins = steady(30, Counts(30, 1, 2), Counts(270, 3, 14), seconds=seconds)
    began = time.process_time()
    for _ in range(10):
        judged(bins, JudgePolicy())
    assert (time.process_time() - began) / 10 < 0.03
