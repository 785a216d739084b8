"""Committed results know the files that they speak of."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import results
from scripts.results import RESULTS, Result, digest, out_of_date, record

ONE = Result("one", "make one", "docs/one.md", ("code/*.py",))


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(results, "RESULTS", (ONE,))
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("a = 1\n")
    return tmp_path


def late(tree: Path) -> list[str]:
    return list(out_of_date(tree, tree / "results.json"))


def test_a_result_is_current_until_a_file_of_it_changes(tree: Path) -> None:
    assert late(tree) == ["docs/one.md was measured on other code: `make one` measures it anew"]
    record("one", {"violate": 0}, tree, tree / "results.json")
    assert late(tree) == []
    (tree / "code" / "a.py").write_text("a = 2\n")
    assert len(late(tree)) == 1


@pytest.mark.parametrize("change", ["renamed", "added"])
def test_another_name_or_another_file_is_a_change(tree: Path, change: str) -> None:
    record("one", {}, tree, tree / "results.json")
    if change == "renamed":
        (tree / "code" / "a.py").rename(tree / "code" / "b.py")
    else:
        (tree / "code" / "b.py").write_text("")
    assert len(late(tree)) == 1


@pytest.mark.parametrize("result", RESULTS, ids=lambda one: one.name)
def test_every_result_covers_files_and_is_told_somewhere(result: Result) -> None:
    assert (results.ROOT / result.told_in).exists()
    for pattern in result.covers:
        assert list(results.ROOT.glob(pattern)), pattern
    assert digest(result) == digest(result)
