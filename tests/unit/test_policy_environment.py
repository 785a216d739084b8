"""What a policy may give the model's container: variables that tune it, never one that runs code."""

from __future__ import annotations

import re

import pytest

from modeldrop.errors import PolicyRejectedError
from modeldrop.policy.environment import VARIABLES, why_refused
from tests.unit.test_policy_parse import policy, problems, the_problem

# what reaches nginx.conf, the batching configuration and command lines there, unquoted
HOSTILE_VALUES = (
    "1;", "1 2", "1\n", "$(id)", "`id`", "8 }\nload_module /opt/ml/model/x.so;", "sync --config /x.py",
    "..", "/opt/ml/model/1", "error; load_module x", "a'b", 'a"b', "a\\b", "%NGINX_HTTP_PORT%", "", " 1", "+1", "-1",
    "01", "1e3", "１", "true\n", "True", "os.system", "a{b}", "a$b", "1.5", "\x00", "9" * 40, "x" * 1025,
)  # fmt: skip


def with_variable(name: str, value: str = "1") -> str:
    key, text = (one.encode("unicode_escape").decode().replace('"', '\\"') for one in (name, value))
    return f'endpoint: {{environment: {{"{key}": "{text}"}}}}'


@pytest.mark.parametrize(
    "name",
    [
        "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "GLIBC_TUNABLES", "GCONV_PATH",
        "PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "PYTHONINSPECT", "GUNICORN_CMD_ARGS", "PIP_INDEX_URL",
        "BASH_ENV", "ENV", "BASH_FUNC_pip%%", "SHELLOPTS", "PS4", "PATH", "IFS", "HOME",
        "SAGEMAKER_PROGRAM", "SAGEMAKER_SUBMIT_DIRECTORY", "SAGEMAKER_REQUIREMENTS", "SAGEMAKER_MULTI_MODEL",
        "SAGEMAKER_MULTI_MODEL_UNIVERSAL_BUCKET", "SAGEMAKER_BIND_TO_PORT", "SAGEMAKER_TFS_VERSION",
        "TF_XLA_FLAGS", "XLA_FLAGS", "KMP_AFFINITY", "MODEL_NAME", "MODEL_BASE_PATH", "TFS_REST_PORTS",
        "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "https_proxy",
        "sagemaker_tfs_enable_batching", "app_key", "APP_", "APP_A B", "APP_A-B", "XAPP_A", "1A", "A", "",
    ],
)  # fmt: skip
@pytest.mark.parametrize("code", ["refuse", "allow"])
def test_what_is_not_listed_is_refused_with_its_name_why_and_what_to_do(name: str, code: str) -> None:
    found = the_problem(f"{with_variable(name)}\nartifact: {{code: {code}}}")
    assert found.code == "POLICY_ENVIRONMENT"
    assert why_refused(name) in found.what
    assert found.fix
    assert found.where.endswith("line 1")


def test_a_name_with_a_last_line_feed_is_not_the_name() -> None:
    for name in ("APP_A\n", "SAGEMAKER_TFS_ENABLE_BATCHING\n"):
        assert the_problem(f"{with_variable(name)}\nartifact: {{code: allow}}").code == "POLICY_ENVIRONMENT"


def test_a_name_in_the_wrong_case_gets_a_guess() -> None:
    assert "Did you mean" in the_problem(with_variable("SAGEMAKER_TFS_ENABLE_BATCHIN", "true")).fix


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_no_value_can_leave_its_place_in_a_configuration_or_a_command(name: str) -> None:
    taken = [value for value in HOSTILE_VALUES if not problems_of(with_variable(name, value))]
    assert [value for value in taken if not re.fullmatch(r"[a-zA-Z0-9_.-]+", value)] == []
    assert [
        value for value in taken if value in ("..", "os.system") and name != "SAGEMAKER_TFS_DEFAULT_MODEL_NAME"
    ] == []


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("SAGEMAKER_TFS_ENABLE_BATCHING", ("true", "false"), ("1", "yes")),
        ("SAGEMAKER_TFS_MAX_BATCH_SIZE", ("1", "1000000"), ("0", "1000001")),
        ("SAGEMAKER_TFS_INTER_OP_PARALLELISM", ("0", "1024"), ("1025",)),
        ("SAGEMAKER_TFS_FRACTIONAL_GPU_MEM_MARGIN", ("0", "0.2", "0.9999"), ("1", "1.0", ".2", "nan", "0.00001")),
        ("SAGEMAKER_TFS_DEFAULT_MODEL_NAME", ("model", "half_plus_two", "a.b-c"), ("a/b", ".a", "-a", "x" * 129)),
        ("SAGEMAKER_SAFE_PORT_RANGE", ("1024-65535", "9000-9999"), ("80-90", "1023-2000", "1024-65536", "9000")),
        ("SAGEMAKER_GUNICORN_WORKER_CLASS", ("gevent",), ("x.y.Worker", "egg:gunicorn")),
        ("OMP_NUM_THREADS", ("4",), ("4,2", "0")),
        ("TF_CPP_MIN_LOG_LEVEL", ("3",), ("4",)),
    ],
)
def test_each_value_has_its_bounds(name: str, good: tuple[str, ...], bad: tuple[str, ...]) -> None:
    assert [value for value in good if problems_of(with_variable(name, value))] == []
    refused = [the_problem(with_variable(name, value)) for value in bad]
    assert {one.code for one in refused} == {"POLICY_VALUE"}
    assert all(VARIABLES[name].allowed in one.what for one in refused)


def test_an_application_s_own_names_need_code() -> None:
    found = the_problem("endpoint: {environment: {APP_LEVEL: high}}")
    assert (found.code, found.where) == ("POLICY_ENVIRONMENT", "endpoint.environment.APP_LEVEL")
    assert "artifact.code is refuse" in found.what
    allowed = policy("endpoint: {environment: {APP_LEVEL: 'a b; $c'}}\nartifact: {code: allow}")
    assert allowed.endpoint.environment == {"APP_LEVEL": "a b; $c"}
    assert the_problem(f"{with_variable('APP_A', chr(0))}\nartifact: {{code: allow}}").code == "POLICY_VALUE"


def test_only_numbers_and_words_of_a_list_tune() -> None:
    free = [name for name, one in VARIABLES.items() if one.tunes and re.fullmatch(one.pattern, "anything")]
    assert free == []
    assert [name for name, one in VARIABLES.items() if not one.tunes] == ["SAGEMAKER_TFS_DEFAULT_MODEL_NAME"]


def problems_of(text: str) -> bool:
    try:
        policy(text)
    except PolicyRejectedError:
        return True
    return False


def test_several_are_told_at_once() -> None:
    found = problems("endpoint: {environment: {LD_PRELOAD: a, PYTHONPATH: b, TF_CPP_MIN_LOG_LEVEL: '9'}}")
    assert [one.code for one in found].count("POLICY_ENVIRONMENT") == 2
    assert len(found) == 3
