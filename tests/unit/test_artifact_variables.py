"""variables.index against its data files."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeldrop.artifact import variables
from modeldrop.artifact.messages import DT_STRING, message
from modeldrop.artifact.variables import read_index
from modeldrop.artifact.wire_stream import UnreadableError
from tests.unit.artifact_builders import DT_FLOAT, block, string_tensor, table, variables_files, varint, with_variables
from tests.unit.test_artifact_inspect import inspect, refusals

MAGIC = bytes.fromhex("57fb808b247547db")
FOUR = (DT_FLOAT, (1,), bytes(4))
NAMES = st.text(min_size=1, max_size=30).map(lambda name: name.encode())


def found(**overrides: Any) -> set[str]:
    files = variables_files({"a": FOUR, "b": (DT_FLOAT, (2, 3), bytes(24))}, overrides=overrides)
    return refusals(with_variables(files))


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_sizes_that_agree_pass(shards: int) -> None:
    tensors = {f"layer_{number}/kernel": FOUR for number in range(7)} | {
        "words": (DT_STRING, (2,), string_tensor(b"a", b"b"))
    }
    report = inspect(with_variables(variables_files(tensors, shards=shards)))
    assert not report.refusals
    assert report.variable_bytes == 7 * 4 + 8


@pytest.mark.parametrize(
    "overrides",
    [
        {"a": {"size": 5}},
        {"a": {"size": -4}},
        {"a": {"shard_id": 1}},
        {"a": {"shard_id": -1}},
        {"b": {"offset": 0}},
        {"b": {"offset": -4}},
        {"b": {"dtype": 2}},
    ],
)
def test_a_tensor_that_cannot_be_is_refused(overrides: dict[str, Any]) -> None:
    assert "VARIABLES_TENSOR" in found(**overrides)


def test_bytes_that_no_tensor_describes_are_refused() -> None:
    assert found(b={"offset": 8}) == {"VARIABLES_SHARDS"}


def test_a_missing_and_an_extra_data_file_are_named() -> None:
    files = variables_files({"a": FOUR, "b": FOUR}, shards=2)
    content = files.pop("variables/variables.data-00001-of-00002")
    files["variables/variables.data-00001-of-00003"] = content
    places = {check.where for check in inspect(with_variables(files)).refusals}
    assert places == {f"1/variables/variables.data-00001-of-0000{n}" for n in (2, 3)}


@given(st.dictionaries(NAMES, st.binary(max_size=5), max_size=30))
def test_every_name_of_an_index_is_read(names: dict[bytes, bytes]) -> None:
    tensors = {name.decode(): (DT_STRING, (1,), content) for name, content in names.items()}
    index = read_index(variables_files(tensors)["variables/variables.index"])
    assert len(index.tensors) == len(tensors)
    assert sum(tensor.size for tensor in index.tensors) == sum(map(len, names.values()))


def test_one_flipped_bit_in_the_index_is_refused() -> None:
    index = bytearray(variables_files({"a": FOUR})["variables/variables.index"])
    index[3] ^= 1
    with pytest.raises(UnreadableError, match="checksum"):
        read_index(bytes(index))


def test_an_index_without_header_is_refused() -> None:
    with pytest.raises(UnreadableError, match="no header"):
        read_index(table({b"a": b""}))


def test_an_index_that_is_too_large_is_refused_unread() -> None:
    files = variables_files({"a": FOUR})
    files["variables/variables.index"] = bytes(range(256)) * (33 * 1024)
    assert refusals(with_variables(files)) == {"VARIABLES_INDEX"}


def test_a_block_named_twice_is_refused() -> None:
    index = variables_files({"a": FOUR})["variables/variables.index"]
    with pytest.raises(UnreadableError, match="starts inside"):
        read_index(with_block_twice(index))


def with_block_twice(index: bytes) -> bytes:
    """The same table, its index naming the one data block two times: a way to make a reader work without end."""
    data_size = len(index) - 48
    handle = varint(0) + varint(block_length(index))
    entries = b"".join(varint(0) + varint(1) + varint(len(handle)) + key + handle for key in (b"a", b"b"))
    found = block(entries)
    footer = (varint(0) + varint(0) + varint(data_size) + varint(len(found) - 5)).ljust(40, b"\0") + index[-8:]
    return index[:data_size] + found + footer


def block_length(index: bytes) -> int:
    """Length of the first block: its trailer's checksum fits nowhere else."""
    return next(n for n in range(8, len(index)) if index[: n + 5] == block(index[: n - 8]))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "does not end"),
        (bytes(40) + MAGIC, "wrong checksum"),
        (b"\xff" * 40 + MAGIC, "a number that does not end"),
        ((b"\0\0" + varint(1000) + varint(9)).ljust(40, b"\0") + MAGIC, "lies outside"),
    ],
)
def test_a_table_that_is_none_says_why(content: bytes, why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        read_index(content)


def test_a_compressed_block_is_refused() -> None:
    packed = block(b"", kind=1)
    footer = (varint(0) + varint(0) + varint(0) + varint(len(packed) - 5)).ljust(40, b"\0") + MAGIC
    with pytest.raises(UnreadableError, match="compressed"):
        read_index(packed + footer)


def test_an_entry_longer_than_its_block_is_refused() -> None:
    broken = block(varint(0) + varint(100) + varint(0) + b"a")
    footer = (varint(0) + varint(0) + varint(0) + varint(len(broken) - 5)).ljust(40, b"\0") + MAGIC
    with pytest.raises(UnreadableError, match="longer than its block"):
        read_index(broken + footer)


def test_big_endian_data_is_refused() -> None:
    header = message("BundleHeaderProto")(num_shards=1, endianness=1)
    with pytest.raises(UnreadableError, match="endianness"):
        read_index(table({b"": header.SerializeToString()}))


def test_more_tensors_than_a_model_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variables, "MAX_TENSORS", 3)
    with pytest.raises(UnreadableError, match="more than 3 tensors"):
        read_index(variables_files({str(number): FOUR for number in range(4)})["variables/variables.index"])
