"""Keys, ids and the order of releases."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeldrop.errors import RejectedError
from modeldrop.release import upload as uploads
from modeldrop.release.upload import Upload


def an_upload(**overrides: object) -> Upload:
    values = {
        "bucket": "uploads",
        "key": "sentiment/model.tar.gz",
        "version_id": "v1",
        "modified": datetime(2026, 11, 23, 20, 10, 0, tzinfo=UTC),
        "sequencer": "0A",
        "size_bytes": 10,
    }
    return Upload(**(values | overrides))  # type: ignore[arg-type]  # a builder


def test_a_key_names_endpoint_and_label() -> None:
    assert uploads.destination("sentiment/model.tar.gz") == uploads.Destination("sentiment", "")
    assert uploads.destination("sentiment/v3/model.tar.gz") == uploads.Destination("sentiment", "v3")


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("model.tar.gz", "KEY_LAYOUT"),
        ("a/b/c/model.tar.gz", "KEY_LAYOUT"),
        ("sentiment/mymodel.tar.gz", "KEY_LAYOUT"),
        ("-bad-/model.tar.gz", "ENDPOINT_NAME"),
        ("x" * 64 + "/model.tar.gz", "ENDPOINT_NAME"),
        ("with space/model.tar.gz", "ENDPOINT_NAME"),
        ("sentiment/la bel/model.tar.gz", "LABEL"),
    ],
)
def test_a_wrong_key_is_refused_by_name(key: str, code: str) -> None:
    with pytest.raises(RejectedError) as refused:
        uploads.destination(key)
    assert [problem.code for problem in refused.value.problems] == [code]


def test_control_characters_of_a_key_never_reach_a_message() -> None:
    with pytest.raises(RejectedError) as refused:
        uploads.destination("a\nb\u202e/model.tar.gz")
    assert "\n" not in str(refused.value)
    assert "\u202e" not in str(refused.value)


def test_a_duplicate_event_has_the_same_release_id() -> None:
    assert uploads.release_id(an_upload(), "sentiment") == uploads.release_id(an_upload(sequencer="0B"), "sentiment")
    assert uploads.release_id(an_upload(), "sentiment").startswith("sentiment-20261123201000-")


def test_another_version_of_the_same_key_is_another_release() -> None:
    assert uploads.release_id(an_upload(), "s") != uploads.release_id(an_upload(version_id="v2"), "s")


@given(st.text(min_size=1, max_size=200))
def test_any_key_is_filed_under_a_legal_name(key: str) -> None:
    name = uploads.table_endpoint(key)
    assert uploads.ENDPOINT_NAME.fullmatch(name)
    release = uploads.release_id(an_upload(key=key), name)
    assert len(release) <= 62
    assert uploads.ENDPOINT_NAME.fullmatch(release)


def test_sequencers_of_different_length_compare_as_s3_says() -> None:
    assert uploads.sequence("0055") < uploads.sequence("00550001")
    assert uploads.sequence("00ff") > uploads.sequence("00FE01")


def test_a_later_upload_comes_later() -> None:
    first, later = an_upload(), an_upload(modified=datetime(2026, 11, 23, 20, 10, 1, tzinfo=UTC), sequencer="01")
    assert uploads.order(first, "a") < uploads.order(later, "a")
