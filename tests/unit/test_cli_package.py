"""`modeldrop package`: golden requests from samples, Keras models, signatures."""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path

import pytest

from cli import answers
from cli.answers import AnswersError, read_samples, write_answers
from model import sign
from model.package import PackageError, package
from tests.unit.test_model_package import a_saved_model

# stands in for the real tool: says what it was asked for; the real one's own bundle is kept in golden/signature
TOOL = """#!{python}
import json, pathlib, sys
arguments = sys.argv[1:]
files = pathlib.Path(arguments[-1])
found = sorted(str(one.relative_to(files)) for one in files.rglob("*") if one.is_file())
bundle = pathlib.Path(arguments[arguments.index("--signature") + 1])
bundle.write_text(json.dumps({{"arguments": arguments, "files": found}}))
"""


def test_samples_are_requests_or_single_instances(tmp_path: Path) -> None:
    file = tmp_path / "samples.jsonl"
    file.write_text('{"instances": [[1]]}\n\n[2, 3]\n"text"\n{"x": 1}\n{"inputs": {"x": [1]}, "signature_name": "s"}\n')
    assert read_samples(file) == [
        {"instances": [[1]]},
        {"instances": [[2, 3]]},
        {"instances": ["text"]},
        {"instances": [{"x": 1}]},
        {"inputs": {"x": [1]}, "signature_name": "s"},
    ]


@pytest.mark.parametrize(
    ("text", "told"), [("{", "line 1 is not JSON"), ("\n", "0 samples"), ("1\n" * 101, "101 samples")]
)
def test_samples_that_cannot_be_asked_are_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "samples.jsonl").write_text(text)
    with pytest.raises(AnswersError, match=told):
        read_samples(tmp_path / "samples.jsonl")


def test_without_tensorflow_the_message_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "has_tensorflow", lambda: False)
    with pytest.raises(AnswersError, match="pip install"):
        write_answers(tmp_path, None, tmp_path / "golden.jsonl", tmp_path / "1")


def test_without_model_signing_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PackageError, match="uv tool install model-signing"):
        sign.find_tool()


def test_every_file_of_the_archive_is_given_to_the_signer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "bin" / "model_signing"
    tool.parent.mkdir()
    tool.write_text(TOOL.format(python=sys.executable))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent))
    saved = a_saved_model(tmp_path / "1")
    (saved / ".github").mkdir()
    (saved / ".github" / "x.yml").write_text("x")
    package(saved, tmp_path / "model.tar.gz")
    bundle = sign.sign(tmp_path / "model.tar.gz", tmp_path / "key.pem")
    assert bundle == tmp_path / "model.tar.gz.sig"
    asked = json.loads(bundle.read_text())
    with tarfile.open(tmp_path / "model.tar.gz") as tar:
        assert asked["files"] == tar.getnames()
    assert "--no-ignore-git-paths" in asked["arguments"]


def test_a_signer_that_fails_is_told_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "model_signing"
    tool.write_text("#!/bin/sh\necho 'the key is no key' >&2\nexit 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    package(a_saved_model(tmp_path / "1"), tmp_path / "model.tar.gz")
    with pytest.raises(PackageError, match="the key is no key"):
        sign.sign(tmp_path / "model.tar.gz", tmp_path / "key.pem")
