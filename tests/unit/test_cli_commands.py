"""The command line: exit statuses, one-line errors, nothing heavy at import, no control from others' text."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from cli.console import clean
from cli.failures import ANSWER_IS_NO, BROKEN, CommandError, explain
from cli.main import main


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["modeldrop", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_importing_the_command_loads_nothing_heavy() -> None:
    heavy = "('boto3', 'rich.live', 'tensorflow', 'moto')"
    program = f"import sys, cli.main; print([one for one in {heavy} if one in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_an_unknown_option_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("status", "--frobnicate", monkeypatch=monkeypatch) == 2


def test_a_good_policy_is_status_0(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    policy = tmp_path / "rollout.yaml"
    policy.write_text("retain: 4\n")
    assert run("lint", str(policy), monkeypatch=monkeypatch) == 0


def test_a_refused_policy_is_status_1_and_names_the_field(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "rollout.yaml"
    policy.write_text("canary: {siz: 1}\n")
    assert run("lint", str(policy), "--json", monkeypatch=monkeypatch) == ANSWER_IS_NO
    assert json.loads(capsys.readouterr().out)["problems"][0]["where"] == "canary.siz, line 1"


def test_the_demos_policy_is_a_good_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import cli.demo.story

    policy = Path(cli.demo.story.__file__).with_name("rollout.yaml")
    assert run("lint", str(policy), monkeypatch=monkeypatch) == 0


def test_a_text_file_is_not_an_artifact(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model.tar.gz").write_text("hello")
    assert run("validate", str(tmp_path / "model.tar.gz"), monkeypatch=monkeypatch) == ANSWER_IS_NO


def test_package_says_what_it_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("package", str(tmp_path), monkeypatch=monkeypatch) == ANSWER_IS_NO
    assert "no saved_model.pb" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ClientError({"Error": {"Code": "ExpiredToken", "Message": "old"}}, "DescribeStacks"),
            "AWS refused DescribeStacks: ExpiredToken: old. Next: renew",
        ),
        (NoCredentialsError(), "no AWS credentials were found. Next: "),
        (EndpointConnectionError(endpoint_url="https://sts"), "AWS does not answer"),
    ],
)
def test_an_error_of_aws_is_one_line_with_what_to_do(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    told = explain(error)
    assert told is not None
    assert str(told).startswith(said)
    assert "\n" not in str(told)
    assert told.status == BROKEN


def test_a_dead_local_cloud_is_told_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4566")
    told = explain(EndpointConnectionError(endpoint_url="http://localhost:4566"))
    assert "modeldrop local up" in str(told)


def test_a_defect_is_not_dressed_up_as_an_answer() -> None:
    assert explain(KeyError("x")) is None


def test_the_sentence_of_an_error_ends_once() -> None:
    assert str(CommandError("it broke.", fix="mend it")) == "it broke. Next: mend it"


def test_escape_sequences_and_bidi_marks_do_not_reach_the_terminal() -> None:
    assert clean("a\x1b[31mb\u202ec\nd") == "a[31mbc\nd"
