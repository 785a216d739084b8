"""A policy survives JSON."""

import json

from hypothesis import given
from hypothesis import strategies as st

from modeldrop.policy.model import (
    CanaryPolicy,
    CapacitySize,
    JudgePolicy,
    LinearPolicy,
    Policy,
    RollingPolicy,
    SloPolicy,
)
from modeldrop.policy.parse import parse_policy
from modeldrop.policy.wire import policy_from_json, policy_to_json

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
POLICIES = st.builds(
    Policy,
    canary=st.builds(
        CanaryPolicy,
        st.builds(CapacitySize, instances=st.integers(1, 500)) | st.builds(CapacitySize, share=FLOATS),
        st.integers(0, 3600),
        st.integers(1, 3600),
    ),
    linear=st.builds(LinearPolicy, step_share=FLOATS),
    rolling=st.builds(RollingPolicy, batch_share=FLOATS),
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


@given(POLICIES)
def test_any_policy_is_the_same_after_json(before: Policy) -> None:
    assert policy_from_json(json.loads(json.dumps(policy_to_json(before)))) == before


def test_numbers_that_json_made_whole_are_floats_again() -> None:
    before = parse_policy(b"judge: {margin: 2}", default_instance_type="ml.g5.xlarge", default_instance_count=2)
    document = json.loads(json.dumps(policy_to_json(before)))
    document["judge"]["margin"] = 2
    assert isinstance(policy_from_json(document).judge.margin, float)
