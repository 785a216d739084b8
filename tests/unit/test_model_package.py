"""Packing a SavedModel: the layout TensorFlow Serving loads, the same bytes every time, and what is refused."""

import tarfile
from pathlib import Path

import pytest

from model.package import PackageError, package


def a_saved_model(directory: Path) -> Path:
    (directory / "variables").mkdir(parents=True)
    (directory / "saved_model.pb").write_bytes(b"graph")
    (directory / "variables" / "variables.index").write_bytes(b"index")
    return directory


def names(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        return tar.getnames()


def test_the_same_files_give_the_same_bytes_wherever_and_whenever_they_are_packed(tmp_path: Path) -> None:
    first = package(a_saved_model(tmp_path / "here" / "1"), tmp_path / "first.tar.gz")
    second = package(a_saved_model(tmp_path / "there" / "1"), tmp_path / "second.tar.gz")
    assert first == second
    assert (tmp_path / "first.tar.gz").read_bytes() == (tmp_path / "second.tar.gz").read_bytes()


def test_members_are_files_under_one_version_in_order(tmp_path: Path) -> None:
    package(a_saved_model(tmp_path / "saved"), tmp_path / "model.tar.gz")
    assert names(tmp_path / "model.tar.gz") == ["1/saved_model.pb", "1/variables/variables.index"]


def test_a_numbered_directory_keeps_its_number(tmp_path: Path) -> None:
    a_saved_model(tmp_path / "export" / "7")
    package(tmp_path / "export", tmp_path / "model.tar.gz")
    assert names(tmp_path / "model.tar.gz")[0] == "7/saved_model.pb"


def test_two_versions_are_not_chosen_from(tmp_path: Path) -> None:
    a_saved_model(tmp_path / "export" / "1")
    a_saved_model(tmp_path / "export" / "2")
    with pytest.raises(PackageError, match="has versions 1, 2"):
        package(tmp_path / "export", tmp_path / "model.tar.gz")


def test_a_keras_file_is_told_how_to_become_a_saved_model(tmp_path: Path) -> None:
    (tmp_path / "mine.keras").write_bytes(b"zip")
    with pytest.raises(PackageError, match=r"call model\.export"):
        package(tmp_path, tmp_path / "model.tar.gz")


def test_golden_requests_go_where_tensorflow_serving_does_not_look(tmp_path: Path) -> None:
    golden = tmp_path / "golden.jsonl"
    golden.write_text('{"request": {"instances": [1]}, "response": {"predictions": [2]}}\n')
    package(a_saved_model(tmp_path / "1"), tmp_path / "model.tar.gz", golden=golden)
    assert "1/assets.extra/golden.jsonl" in names(tmp_path / "model.tar.gz")


def test_a_policy_goes_to_the_root_where_a_signature_covers_it(tmp_path: Path) -> None:
    policy = tmp_path / "mine.yaml"
    policy.write_text("retain: 4\n")
    archive = tmp_path / "model.tar.gz"
    package(a_saved_model(tmp_path / "1"), archive, policy=policy)
    with tarfile.open(archive) as tar:
        assert tar.extractfile("rollout.yaml").read() == b"retain: 4\n"  # type: ignore[union-attr]  # it is a file


@pytest.mark.parametrize("line", ["not json", '{"response": {}}', "[]"])
def test_a_broken_golden_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    golden = tmp_path / "golden.jsonl"
    golden.write_text('{"request": {}, "response": {}}\n' + line + "\n")
    with pytest.raises(PackageError, match="line 2"):
        package(a_saved_model(tmp_path / "1"), tmp_path / "model.tar.gz", golden=golden)
