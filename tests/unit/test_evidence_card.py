"""The card says in the strategy's own words how the traffic went."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modeldrop.evidence.html import render_html
from modeldrop.policy.strategy import Strategy
from modeldrop.policy.wire import policy_to_json
from modeldrop.rollout.model import plan_to_json
from tests.unit.evidence_builders import a_card, a_record
from tests.unit.rollout_builders import ALL_AT_ONCE, CANARY, LINEAR, ROLLING, a_plan, a_policy

OLDER_RECORDS = json.loads((Path(__file__).parent / "golden" / "records_before_strategies.json").read_text())


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (CANARY, "canary, 1 of 10 instances first"),
        (LINEAR, "linear"),
        (ROLLING, "rolling"),
        (ALL_AT_ONCE, "all_at_once"),
    ],
    ids=str,
)
def test_the_card_says_how_the_traffic_went(strategy: Strategy, words: str) -> None:
    policy = a_policy(strategy=strategy)
    record = a_record(plan=plan_to_json(a_plan(policy=policy)), policy=policy_to_json(policy))
    card = a_card("promoted", record=record)
    assert (card["strategy"], card["strategy_words"]) == (strategy.name, words)
    assert f"<dt>Strategy</dt><dd>{words}</dd>" in render_html(card, [])


def test_the_card_of_a_release_that_was_not_rolled_out_names_the_strategy_alone() -> None:
    card = a_card("aborted", record=a_record(rollout={}))
    assert (card["strategy"], card["strategy_words"]) == ("canary", "")
    assert "<dt>Strategy</dt><dd>canary</dd>" in render_html(card, [])


def test_a_release_that_was_planned_before_strategies_were_values_has_its_card() -> None:
    before = OLDER_RECORDS["canary"]
    card = a_card("promoted", record=a_record(plan=before["plan"], policy=before["policy"]))
    assert (card["strategy"], card["canary_instances"]) == ("canary", before["plan"]["canary_instances"])
    assert card["strategy_words"] == "canary, 2 of 10 instances first"


def test_a_plan_that_can_not_be_read_costs_the_card_its_strategy_and_nothing_else() -> None:
    card = a_card("rolled_back", record=a_record(plan={"strategy": "of a later version"}))
    assert (card["outcome"], card["strategy"], card["strategy_words"]) == ("rolled_back", "", "")
