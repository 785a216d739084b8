"""rollout.yaml in, Policy out: defaults, units, and every problem named at once."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeldrop.errors import PolicyRejectedError, Problem
from modeldrop.policy.model import (
    ArtifactPolicy,
    Autoscaling,
    GatesPolicy,
    JudgePolicy,
    Policy,
    SignaturePolicy,
    SloPolicy,
)
from modeldrop.policy.parse import parse_policy
from modeldrop.policy.strategies import AllAtOnce, Canary, Linear, Rolling
from modeldrop.policy.strategy import CapacitySize


def policy(text: str | bytes | None = None) -> Policy:
    data = text.encode() if isinstance(text, str) else text
    return parse_policy(data, default_instance_type="ml.g5.xlarge", default_instance_count=2)


def problems(text: str | bytes) -> tuple[Problem, ...]:
    with pytest.raises(PolicyRejectedError) as refusal:
        policy(text)
    return refusal.value.problems


def the_problem(text: str | bytes) -> Problem:
    found = problems(text)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("empty", [None, b"", b"# nothing\n", b"---\n"])
def test_no_policy_is_all_defaults(empty: bytes | None) -> None:
    found = policy(empty)
    assert (found.retain, found.strategy_chosen) == (3, False)
    assert (found.on_inconclusive, found.on_blind) == ("promote", "rollback")
    assert found.strategy == Canary(CapacitySize(instances=1), 600, 600)
    assert found.for_one_instance == AllAtOnce(600)
    assert policy("strategy: linear").strategy == Linear(0.2, 300, 600)
    assert policy("strategy: rolling").strategy == Rolling(0.25, 300)
    assert policy("strategy: all_at_once").strategy == AllAtOnce(600)


def test_defaults_of_schema_and_values_agree() -> None:
    found = policy()
    assert found.judge == JudgePolicy()
    assert found.artifact == ArtifactPolicy()
    assert found.gates == GatesPolicy()
    assert found.slo == SloPolicy()
    assert found.endpoint.metrics_every_seconds == 60


def test_the_stack_gives_instance_type_and_count() -> None:
    found = parse_policy(None, default_instance_type="ml.c5.xlarge", default_instance_count=7)
    assert (found.endpoint.instance_type, found.endpoint.instance_count) == ("ml.c5.xlarge", 7)


def test_units_become_seconds_fractions_milliseconds_and_bytes() -> None:
    found = policy(
        """
        endpoint: {metrics_every: 1m}
        canary: {size: 10%, bake: 90s, final_bake: 1h}
        slo: {error_rate: 0.5%, latency: {p99: 100ms, p99.9: 1.5s}}
        judge: {metric_lag: 3s, slow: 250ms, clump: 4}
        artifact: {max_size: 500MiB}
        """
    )
    assert found.endpoint.metrics_every_seconds == 60
    assert found.strategy == Canary(CapacitySize(share=0.1), 90, 3600)
    assert found.slo == SloPolicy(error_rate=0.005, latency_ms={"p99": 100.0, "p99.9": 1500.0})
    assert (found.judge.metric_lag_seconds, found.judge.slow_ms, found.judge.clump) == (3, 250.0, 4)
    assert found.artifact.max_size_bytes == 500 * 1024**2


def test_the_example_of_the_design_is_good() -> None:
    found = policy(
        """
        endpoint:
          instance_type: ml.g5.xlarge
          instance_count: 2
          autoscaling: {min: 2, max: 8, invocations_per_instance_per_minute: 1200}
          environment: {SAGEMAKER_TFS_ENABLE_BATCHING: "true"}
          metrics_every: 60s
        strategy: canary
        canary: {size: 1, bake: 10m, final_bake: 10m}
        linear: {step: 20%, bake: 5m, final_bake: 10m}
        rolling: {batch: 25%, bake: 5m}
        slo: {}
        judge:
          alpha: 0.01
          margin: 1.5
          floor: {errors: 0.1%, slow: 1%}
          max_excess: 5%
          clump: auto
          slow: auto
          warm_up: 60s
          min_green: 30
          observe: []
          dead_man: 3m
        on_inconclusive: promote
        on_blind: rollback
        quality: {}
        artifact: {code: refuse, breaking: refuse, max_size: 10GiB}
        gates: {rehearsal: ml.c5.large, approval: none}
        signature: {required: false}
        retain: 3
        """
    )
    assert found.endpoint.autoscaling == Autoscaling(2, 8, 1200)
    assert found.endpoint.environment == {"SAGEMAKER_TFS_ENABLE_BATCHING": "true"}
    assert found.strategy_chosen


def test_off_is_a_word_and_not_a_boolean() -> None:
    assert policy("gates: {rehearsal: off}").gates.rehearsal == "off"


def test_a_default_count_moves_into_the_autoscaling_range() -> None:
    found = policy("endpoint: {autoscaling: {min: 4, max: 8, invocations_per_instance_per_minute: 60}}")
    assert found.endpoint.instance_count == 4


def test_every_problem_is_told_at_once_with_field_line_value_and_range() -> None:
    found = problems("strategy: blue\njudge: {alpha: 0.7, margin: 0.5}\ncanary: {final_bake: 0s}\n")
    assert [p.where for p in found] == [
        "strategy, line 1",
        "judge.alpha, line 2",
        "judge.margin, line 2",
        "canary.final_bake, line 3",
    ]
    assert found[1].what == "judge.alpha is 0.7; allowed: a number above 0, at most 0.5"


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        ("judge: {alhpa: 0.1}", "judge.alpha"),
        ("endpoint: {instance_cont: 3}", "endpoint.instance_count"),
        ("instance_count: 3", "endpoint.instance_count"),
        ("stratgy: canary", "strategy"),
    ],
)
def test_an_unknown_field_gets_a_guess(text: str, guess: str) -> None:
    found = the_problem(text)
    assert found.code == "POLICY_UNKNOWN_FIELD"
    assert found.fix == f"Did you mean {guess}?"


@pytest.mark.parametrize(
    "text",
    [
        "strategy: weighted",
        "strategy: shadow",
    ],
)
def test_what_is_planned_is_refused_as_not_built_yet(text: str) -> None:
    found = the_problem(text)
    assert found.code == "POLICY_NOT_BUILT"
    assert "not built yet" in found.what


@pytest.mark.parametrize(
    "text",
    [
        "endpoint: {instance_type: g5.xlarge}",
        'endpoint: {instance_type: "ml.g5.xlarge\\n"}',
        "endpoint: {instance_count: 0}",
        "endpoint: {instance_count: 2.0}",
        "endpoint: {instance_count: true}",
        "endpoint: {metrics_every: 45s}",
        "endpoint: {environment: {SAGEMAKER_TFS_ENABLE_BATCHING: true}}",
        "endpoint: {environment: []}",
        "canary: {size: 0}",
        "canary: {size: 51%}",
        "canary: {size: 1.5%}",
        "canary: {bake: 61m}",
        "canary: {bake: 10}",
        "canary: {bake: -10s}",
        "canary: {bake: 1:30}",
        "canary: {final_bake: 0s}",
        "linear: {step: 9%}",
        "linear: {step: 51%}",
        "rolling: {batch: 4%}",
        "rolling: {batch: 51%}",
        "slo: {error_rate: 0%}",
        "slo: {error_rate: 101%}",
        "slo: {latency: {p0: 1s}}",
        "slo: {latency: {p100: 1s}}",
        "slo: {latency: {p99: 0ms}}",
        "judge: {alpha: 0}",
        "judge: {alpha: 0.51}",
        "judge: {margin: 0.99}",
        "judge: {floor: {errors: 0%}}",
        "judge: {clump: 0}",
        "judge: {clump: never}",
        "judge: {slow: 5}",
        "judge: {min_green: 0}",
        "judge: {observe: [lag]}",
        "judge: {observe: [slow, slow]}",
        "judge: {dead_man: 10s}",
        "judge: {dead_man: 25s}",
        "judge: {metric_lag: 16m}",
        "on_blind: ignore",
        "artifact: {code: maybe}",
        "artifact: {max_size: 10GB}",
        "gates: {rehearsal: no}",
        "gates: {approval: sometimes}",
        "retain: 0",
        "retain: 99999999999999999999999999",
        "endpoint:",
        "judge: []",
    ],
)
def test_a_value_out_of_its_range_is_refused_with_the_field_and_what_is_allowed(text: str) -> None:
    found = the_problem(text)
    assert found.code == "POLICY_VALUE"
    assert "allowed: " in found.what
    assert found.where.endswith("line 1")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (
            "endpoint: {autoscaling: {min: 3, max: 2, invocations_per_instance_per_minute: 9}}",
            "endpoint.autoscaling",
        ),
        (
            "endpoint: {instance_count: 9, autoscaling: {min: 2, max: 8, invocations_per_instance_per_minute: 9}}",
            "endpoint.instance_count",
        ),
        ("endpoint: {instance_count: 4}\ncanary: {size: 3}", "canary.size"),
        ("endpoint: {instance_count: 10}\nstrategy: linear\nlinear: {step: 10%, bake: 1h}", "linear.bake"),
        ("endpoint: {instance_count: 20}\nstrategy: rolling\nrolling: {batch: 5%, bake: 1h}", "rolling.bake"),
        ("endpoint: {instance_type: ml.inf1.xlarge}", "endpoint.instance_type"),
        (f"artifact: {{code: allow}}\nendpoint: {{environment: {{APP_A: {'é' * 600}}}}}", "endpoint.environment.APP_A"),
    ],
)
def test_good_fields_that_cannot_go_together_are_refused(text: str, field: str) -> None:
    found = the_problem(text)
    assert (found.code, found.where) == ("POLICY_CONFLICT", field)


def test_waits_that_leave_no_time_to_provision_are_refused_with_the_numbers() -> None:
    fleet = "endpoint: {instance_count: 10}\nstrategy: linear\n"
    found = the_problem(f"{fleet}linear: {{step: 10%, bake: 41m, final_bake: 60m}}")
    assert (found.code, found.where) == ("POLICY_CONFLICT", "linear.bake")
    assert found.what == (
        "the linear waits are 25,740 s in all on 10 instances; with 2,700 s to provision and 600 s in reserve that is "
        "29,040 s, and a deployment may take 28,800 s"
    )
    assert policy(f"{fleet}linear: {{step: 10%, bake: 40m, final_bake: 60m}}").strategy.waits_seconds(10) == 25_200


def test_all_at_once_has_a_final_bake_of_its_own() -> None:
    own = policy("strategy: all_at_once\nall_at_once: {final_bake: 5m}\ncanary: {final_bake: 20m}")
    assert own.strategy == own.for_one_instance == AllAtOnce(300)


@pytest.mark.parametrize("section", ["", "all_at_once: {}\n"])
def test_all_at_once_without_one_takes_canarys_as_before(section: str) -> None:
    assert policy(f"strategy: all_at_once\n{section}canary: {{final_bake: 20m}}").strategy == AllAtOnce(1200)
    assert policy(f"{section}canary: {{final_bake: 20m}}").for_one_instance == AllAtOnce(1200)


def test_a_final_bake_of_all_at_once_that_is_no_time_is_refused_by_its_own_name() -> None:
    found = the_problem("strategy: all_at_once\nall_at_once: {final_bake: 2h}")
    assert found.where == "all_at_once.final_bake, line 2"


def test_a_canary_of_a_fleet_of_one_is_left_to_the_plan() -> None:
    assert policy("endpoint: {instance_count: 1}").strategy.canary_instances(1) == 1


def test_an_environment_is_bounded_in_entries_and_in_bytes() -> None:
    start = "artifact: {code: allow}\nendpoint:\n  environment:\n"
    many = "\n".join(f"    APP_{number}: x" for number in range(101))
    assert the_problem(f"{start}{many}\n").code == "POLICY_VALUE"
    large = "\n".join(f"    APP_{number}: {'x' * 1000}" for number in range(40))
    assert "32768" in the_problem(f"{start}{large}\n").what


def test_half_an_autoscaling_section_is_refused() -> None:
    found = the_problem("endpoint: {autoscaling: {min: 1, max: 2}}")
    assert (found.code, found.what) == (
        "POLICY_MISSING_FIELD",
        "endpoint.autoscaling lacks invocations_per_instance_per_minute",
    )


@pytest.mark.parametrize(
    ("text", "code", "where"),
    [
        (b"a: &x 1\nb: *x\n", "POLICY_ALIAS", "line 1, column 4"),
        (b"retain: 3\nretain: 4\n", "POLICY_DUPLICATE_KEY", "line 2, column 1"),
        (b"retain: !!python/object:os.system x\n", "POLICY_TAG", "line 1, column 9"),
        (b"judge: {alpha: 0.1\nretain: [\n", "POLICY_YAML", "line 2, column 7"),
        (b"retain: 3\n\tjudge: 1\n", "POLICY_YAML", "line 2, column 1"),
        (b"retain: 3\n---\nretain: 4\n", "POLICY_YAML", "line 2, column 1"),
        (b"retain: 3\n# \xff\n", "POLICY_ENCODING", "line 2"),
        (b"a: \x00\n", "POLICY_YAML", "rollout.yaml"),
        (b"? [1, 2]\n: 3\n", "POLICY_KEY", "line 1, column 3"),
        (b"#" * 65537, "POLICY_TOO_LARGE", "rollout.yaml"),
        (b"[" * 60000, "POLICY_DEPTH", "line 1, column 17"),
        (b"just text", "POLICY_VALUE", "the policy, line 1"),
    ],
)
def test_what_is_not_a_plain_yaml_document_is_refused_with_its_place(text: bytes, code: str, where: str) -> None:
    found = the_problem(text)
    assert (found.code, found.where) == (code, where)


def test_a_value_is_shown_escaped_and_cut() -> None:
    found = the_problem(f'strategy: "\\u202e{"x" * 500}"')
    assert "\\u202e" in found.what
    assert len(found.what) < 250


@given(st.binary(max_size=200) | st.text(alphabet="abjudge:{}[]-&*!|> \n'\"#%0123.", max_size=80).map(str.encode))
def test_any_bytes_are_a_policy_or_a_refusal(text: bytes) -> None:
    try:
        policy(text)
    except PolicyRejectedError as refusal:
        assert all(p.code and p.what for p in refusal.problems)


def test_the_wire_and_the_values_stay_light() -> None:
    program = (
        "import modeldrop.policy.wire, modeldrop.policy.model, modeldrop.policy.parse, sys;"
        "print(sorted({'yaml', 'jsonschema', 'boto3'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "key", ["ssm:/modeldrop/signing-key", "kms:alias/signing", "kms:1b2c3d4e-0000-4000-8000-0123456789ab"]
)
def test_a_signature_is_asked_for_with_its_key(key: str) -> None:
    found = policy(f"signature: {{required: true, key: '{key}'}}").signature
    assert (found.required, found.key, found.older) == (True, key, "refuse")


@pytest.mark.parametrize("key", ["ssm:/other/key", "ssm:/modeldrop/../x/", "kms:", "https://x", "/modeldrop/k"])
def test_a_key_elsewhere_is_refused(key: str) -> None:
    with pytest.raises(PolicyRejectedError, match=r"signature\.key"):
        policy(f"signature: {{required: true, key: '{key}'}}")


def test_a_signature_of_nobody_is_refused() -> None:
    with pytest.raises(PolicyRejectedError, match=r"no signature\.key"):
        policy("signature: {required: true}")


def under_a_stack_s_key(text: bytes | None) -> Policy:
    return parse_policy(
        text,
        default_instance_type="ml.g5.xlarge",
        default_instance_count=2,
        signature_key="ssm:/modeldrop/signing-key",
    )


@pytest.mark.parametrize(
    "text", [None, b"retain: 4", b"signature: {required: true, key: 'ssm:/modeldrop/signing-key', older: refuse}"]
)
def test_the_stack_s_signature_key_holds_without_a_word_in_the_policy(text: bytes | None) -> None:
    assert under_a_stack_s_key(text).signature == SignaturePolicy(required=True, key="ssm:/modeldrop/signing-key")


@pytest.mark.parametrize(
    ("said", "field"),
    [("required: false", "required"), ("key: 'kms:alias/mine'", "key"), ("older: allow", "older")],
)
def test_who_writes_the_policy_cannot_switch_the_stack_s_signature_off(said: str, field: str) -> None:
    with pytest.raises(PolicyRejectedError) as refused:
        under_a_stack_s_key(f"signature: {{{said}}}".encode())
    (problem,) = refused.value.problems
    assert (problem.code, problem.where) == ("POLICY_SIGNATURE", f"signature.{field}, line 1")
    assert "this stack serves only what ssm:/modeldrop/signing-key signed" in problem.what


def test_waits_are_counted_for_what_the_fleet_may_scale_to() -> None:
    steps = "strategy: linear\nlinear: {step: 10%, bake: 50m, final_bake: 50m}"
    assert policy(f"endpoint: {{instance_count: 2}}\n{steps}").strategy.waits_seconds(2) == 6_000
    scaled = "autoscaling: {min: 2, max: 20, invocations_per_instance_per_minute: 1000}"
    found = the_problem(f"endpoint: {{instance_count: 2, {scaled}}}\n{steps}")
    assert found.where == "linear.bake"
    assert "30,000 s in all on 20 instances" in found.what
