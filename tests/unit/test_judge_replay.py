"""Replays: the same bins and terms give the same verdict, in files of any number."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.main import main
from modeldrop.judge.bins import Bin, BinFormatError, Counts, read_bins
from modeldrop.judge.judge import verdict_to_json
from modeldrop.judge.terms import Terms, judge_by, read_terms, terms_from_json, terms_to_json, write_bins
from modeldrop.policy.model import JudgePolicy

START = datetime(2026, 11, 23, 20, 10, 3, 250, tzinfo=UTC)
TERMS = Terms(JudgePolicy(margin=2.0, observe=("slow",)), START, 2, 0.1, 7, ("errors", "slow"), {"errors": 0.004}, 0.02)


def some_bins(green_errors: int = 9) -> list[Bin]:
    blue, green = Counts(900, 4, 40), Counts(100, green_errors, 5)
    return [Bin(START + timedelta(seconds=60 * n + 57), 60, blue, green, shift=n == 3) for n in range(6)]


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["modeldrop", "judge", "replay", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_terms_survive_the_file() -> None:
    assert terms_from_json(json.loads(json.dumps(terms_to_json(TERMS)))) == TERMS


def test_a_file_with_terms_is_still_a_bin_a_line() -> None:
    lines = write_bins(some_bins(), TERMS).splitlines()
    assert read_bins(lines) == some_bins()
    assert read_terms(lines) == TERMS


@pytest.mark.parametrize("broken", ["x", {}, {"policy": 1}, {**terms_to_json(TERMS), "metrics": ["sloww"]}])
def test_terms_that_cannot_be_read_are_named(broken: object) -> None:
    with pytest.raises(BinFormatError, match="terms in the first line"):
        terms_from_json(broken)


def test_a_replay_gives_the_recorded_verdict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bins.jsonl").write_text(write_bins(some_bins(), TERMS))
    assert run(str(tmp_path / "bins.jsonl"), "--json", monkeypatch=monkeypatch) == 1
    answer = json.loads(capsys.readouterr().out)
    recorded = verdict_to_json(judge_by(TERMS, some_bins()))
    assert answer == {"file": str(tmp_path / "bins.jsonl"), "verdict": recorded.pop("outcome"), **recorded}


def test_another_policy_judges_the_same_rollout_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bins.jsonl").write_text(write_bins(some_bins(), TERMS))
    (tmp_path / "lenient.yaml").write_text("judge: {floor: {errors: 20%}}\n")
    file, policy = str(tmp_path / "bins.jsonl"), str(tmp_path / "lenient.yaml")
    assert run(file, monkeypatch=monkeypatch) == 1
    assert run(file, "--policy", policy, monkeypatch=monkeypatch) == 0


@pytest.mark.parametrize("broken", ["not json", "[" * 100_000], ids=["not json", "nested"])
def test_a_broken_file_is_named_and_the_others_are_judged(
    broken: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jsonl").write_text(write_bins(some_bins(), TERMS))
    (tmp_path / "b.jsonl").write_text(broken + "\n")
    (tmp_path / "c.jsonl").write_text(write_bins(some_bins(0), TERMS))
    (tmp_path / "golden.jsonl").write_text("{}\n")
    assert run(str(tmp_path), "--json", monkeypatch=monkeypatch) == 3
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("verdict", "error") for line in lines][:2] == ["bad", "error"]
    assert len(lines) == 3
    assert lines[1]["error"]


def test_bins_alone_come_from_standard_input_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = "\n".join(write_bins(some_bins(), TERMS).splitlines()[1:]).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(body)))
    assert run("-", monkeypatch=monkeypatch) == 1
    assert capsys.readouterr().out.startswith("-: bad after")


def test_no_file_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(str(tmp_path / "*.jsonl"), monkeypatch=monkeypatch) == 2
    assert run(str(tmp_path), monkeypatch=monkeypatch) == 2
