"""`modeldrop validate`: what it exits with, prints, and compares with."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
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
