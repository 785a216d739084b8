"""`modeldrop validate`: what it exits with, prints, and compares with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app, main
from modeldrop.artifact.report import report_to_json
from tests.unit.artifact_builders import DT_FLOAT, good_artifact, signature
from tests.unit.test_artifact_inspect import inspect

RENAMED = {"serving_default": signature({"new": ("x:0", DT_FLOAT, (-1, 2))})}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    contents = {
        "good": good_artifact(),
        "renamed": good_artifact(signatures=RENAMED),
        "bad": b"no archive",
        "report": json.dumps(report_to_json(inspect(good_artifact()))).encode(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: str(tmp_path / name) for name in contents}


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["validate", *arguments])
    return done.exit_code, done.stdout


def test_a_good_file_exits_with_0_and_a_refused_one_with_1(files: dict[str, str]) -> None:
    assert run(files["good"])[0] == 0
    assert run(files["bad"])[0] == 1
    assert run("no-such-file")[0] == 2


def test_json_is_printed_for_the_refused_too_and_for_several_files(files: dict[str, str]) -> None:
    status, text = run(files["good"], files["bad"], "--json")
    assert status == 1
    assert [one["good"] for one in json.loads(text)] == [True, False]


@pytest.mark.parametrize("live", ["good", "report"])
def test_a_breaking_file_is_refused_against_an_archive_or_its_report(files: dict[str, str], live: str) -> None:
    status, text = run(files["renamed"], "--against", files[live])
    assert status == 1
    assert "input x: float32[?, 2] -> gone" in " ".join(text.split())
    assert run(files["good"], "--against", files[live])[0] == 0


def test_the_arithmetic_of_the_fit_is_printed(files: dict[str, str]) -> None:
    status, text = run(files["good"], "--instance-type", "ml.g5.xlarge")
    assert status == 0
    assert "one A10G of ml.g5.xlarge has 22.35 GiB" in " ".join(text.split())


@pytest.mark.parametrize(
    "arguments",
    [["no-such-file"], ["GOOD", "--frobnicate"], [], ["GOOD", "--against", "BAD"], ["GOOD", "--against", "NO_REPORT"]],
)
def test_what_was_asked_wrongly_is_2_and_prints_no_report(
    arguments: list[str], files: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "no_report").write_text("{}")
    names = {"GOOD": files["good"], "BAD": files["bad"], "NO_REPORT": str(tmp_path / "no_report")}
    status, text, said = entry(*(names.get(one, one) for one in arguments), "--json")
    assert (status, text) == (2, "")
    assert said


def test_a_cloud_that_does_not_answer_is_3_and_told_in_one_line(files: dict[str, str]) -> None:
    nobody = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "eu-west-1", "AWS_MAX_ATTEMPTS": "1"}
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    against = ["--against", "sentiment-20261123201000-4f1c2a", "--json"]
    status, text, said = entry(files["good"], *against, environment={**nobody, **keys})
    assert (status, text) == (3, "")
    assert said.startswith("modeldrop: http://127.0.0.1:9 does not answer")
    assert said.count("\n") == 1


def test_a_defect_of_ours_is_3_and_says_so(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("a defect")

    monkeypatch.setattr("modeldrop.artifact.inspect.inspect_artifact", broken)
    monkeypatch.setattr(sys, "argv", ["modeldrop", "validate", files["good"], "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (3, "")
    assert told.err.startswith("modeldrop: a defect of modeldrop")


def test_several_files_are_one_list_in_the_order_given(files: dict[str, str]) -> None:
    given = [files["bad"], files["good"], files["renamed"]]
    status, text, _ = entry(*given, "--against", files["good"], "--json")
    assert status == 1
    assert [(one["file"], one["good"]) for one in json.loads(text)] == list(
        zip(given, (False, True, False), strict=True)
    )


def entry(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run the command in a process of its own; its exit status, stdout and stderr."""
    command = [sys.executable, "-m", "cli.main", "validate", *arguments]
    done = subprocess.run(
        command, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr
