"""A policy survives JSON."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeldrop.policy.model import JudgePolicy, Policy, SloPolicy
from modeldrop.policy.parse import parse_policy
from modeldrop.policy.strategies import AllAtOnce, Canary, Linear, Rolling
from modeldrop.policy.strategy import CapacitySize, Strategy
from modeldrop.policy.wire import policy_from_json, policy_to_json

OLDER_RECORDS = json.loads((Path(__file__).parent / "golden" / "records_before_strategies.json").read_text())
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.builds(AllAtOnce, st.integers(1, 3600))
STRATEGIES = st.one_of(
    st.builds(
        Canary,
        st.builds(CapacitySize, instances=st.integers(1, 500)) | st.builds(CapacitySize, share=FLOATS),
        st.integers(0, 3600),
        st.integers(1, 3600),
    ),
    st.builds(Linear, FLOATS, st.integers(0, 3600), st.integers(1, 3600)),
    st.builds(Rolling, FLOATS, st.integers(0, 3600)),
)


def policies() -> st.SearchStrategy[Policy]:
    """A policy whose strategy is for all at once has the same one for a fleet of one."""
    split = st.tuples(STRATEGIES, WHOLE)
    return st.one_of(split, WHOLE.map(lambda whole: (whole, whole))).flatmap(
        lambda both: st.builds(replace, A_POLICY, strategy=st.just(both[0]), for_one_instance=st.just(both[1]))
    )


A_POLICY = st.builds(
    Policy,
    strategy=WHOLE,
    for_one_instance=WHOLE,
    slo=st.builds(SloPolicy, error_rate=st.none() | FLOATS, latency_ms=st.dictionaries(st.text(), FLOATS, max_size=3)),
    judge=st.builds(
        JudgePolicy,
        alpha=FLOATS,
        margin=FLOATS,
        floor_errors=FLOATS,
        floor_slow=FLOATS,
        max_excess=FLOATS,
        slow_ms=st.none() | FLOATS,
        clump=st.none() | st.integers(),
        observe=st.just(("errors", "slow")),
    ),
)


def test_a_parsed_policy_is_the_same_after_json() -> None:
    text = b"canary: {size: 10%}\nslo: {error_rate: 1%, latency: {p99: 1s}}\njudge: {observe: [slow], margin: 2}\n"
    before = parse_policy(text, default_instance_type="ml.g5.xlarge", default_instance_count=2)
    assert policy_from_json(json.loads(json.dumps(policy_to_json(before)))) == before


@given(policies())
def test_any_policy_is_the_same_after_json(before: Policy) -> None:
    assert policy_from_json(json.loads(json.dumps(policy_to_json(before)))) == before


def test_numbers_that_json_made_whole_are_floats_again() -> None:
    before = parse_policy(b"judge: {margin: 2}", default_instance_type="ml.g5.xlarge", default_instance_count=2)
    document = json.loads(json.dumps(policy_to_json(before)))
    document["judge"]["margin"] = 2
    assert isinstance(policy_from_json(document).judge.margin, float)


@pytest.mark.parametrize(
    ("name", "strategy", "whole"),
    [
        ("canary", Canary(CapacitySize(share=0.15), 420, 540), AllAtOnce(540)),
        ("linear", Linear(0.15, 360, 480), AllAtOnce(600)),
        ("rolling", Rolling(0.3, 240), AllAtOnce(600)),
        ("all_at_once", AllAtOnce(720), AllAtOnce(720)),
    ],
)
def test_a_policy_that_was_written_before_strategies_were_values_is_read(
    name: str, strategy: Strategy, whole: Strategy
) -> None:
    policy = policy_from_json(OLDER_RECORDS[name]["policy"])
    assert (policy.strategy, policy.for_one_instance) == (strategy, whole)
    assert policy_from_json(json.loads(json.dumps(policy_to_json(policy)))) == policy


def test_a_card_reads_the_name_of_the_strategy_and_the_fields_in_its_section() -> None:
    document = policy_to_json(
        parse_policy(b"strategy: linear", default_instance_type="ml.g5.xlarge", default_instance_count=2)
    )
    assert document["strategy"] == "linear"
    assert document["linear"] == {"step_share": 0.2, "bake_seconds": 300, "final_bake_seconds": 600}
