"""The corpus: hostile archives, each with the code it is refused with, and good ones of many conventions."""

import gzip
import io
import json
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeldrop.artifact import inspect as inspection
from modeldrop.artifact.messages import message
from modeldrop.artifact.report import report_to_json
from modeldrop.artifact.schema import as_text, report_schema
from tests.unit.artifact_builders import (
    DT_FLOAT,
    DT_STRING,
    call,
    calls,
    entry,
    function,
    good_artifact,
    good_members,
    graph_bytes,
    gz,
    hostile_artifacts,
    node,
    packed_strings,
    signature,
    string_tensor,
    strings,
    tar_bytes,
    tar_gz,
    variables_files,
    with_entry,
    with_files,
    with_variables,
)
from tests.unit.test_artifact_inspect import inspect, refusals

Build = Callable[[], bytes]
GOOD_GZ = good_artifact()
EIGHT = (DT_FLOAT, (2, 1), bytes(8))


def deep(operation: str, depth: int, caller: str = "PartitionedCall") -> bytes:
    """An operation `depth` functions below the main graph."""
    functions = [function("f1", node("bad", operation))]
    functions += [function(f"f{n}", node("c", caller, f=call(f"f{n - 1}"))) for n in range(2, depth + 1)]
    return good_artifact(extra_functions=functions, extra_nodes=[node("go", caller, f=call(f"f{depth}"))])


def branch(operation: str, caller: str, **attributes: Any) -> bytes:
    use = node("go", caller, **attributes)
    return good_artifact(extra_functions=[function("body", node("bad", operation))], extra_nodes=[use])


def nested(depth: int, operation: str = "WriteFile") -> bytes:
    hidden = graph_bytes(node("bad", operation))
    for _ in range(depth - 1):
        hidden = graph_bytes(node("c", "Const", value=packed_strings(hidden)))
    return good_artifact(extra_nodes=[node("c", "Const", value=strings(b"a", hidden))])


def joined_table() -> bytes:
    nodes = [node("p", "StringJoin", ["x", "x"]), node("t", "InitializeTableFromTextFileV2", ["x", "p"])]
    asset = message("AssetFileDef")(tensor_info=message("TensorInfo")(name="a:0"), filename="v")
    return tar_gz({**good_members(extra_nodes=nodes, asset_defs=[asset]), "1/assets/v": b""})


def joined(operation: str) -> bytes:
    nodes = [node("p", "StringJoin", ["x", "x"]), node("bad", operation, ["p"])]
    return good_artifact(extra_nodes=nodes)


def flipped(at: int) -> bytes:
    content = bytearray(GOOD_GZ)
    content[at] ^= 1
    return bytes(content)


def shards(**overrides: Any) -> bytes:
    files = variables_files({"a": EIGHT, "b": EIGHT}, shards=2, overrides=overrides)
    return with_variables(files)


HOSTILE: dict[str, tuple[str, Build]] = {
    code: (code, partial(bytes, data)) for code, data in hostile_artifacts().items()
}
HOSTILE |= {
    f"{operation} {depth} functions deep": (code, partial(deep, operation, depth))
    for depth in (1, 2, 3)
    for operation, code in (
        ("WriteFile", "OP_FILES"),
        ("EagerPyFunc", "OP_CODE"),
        ("SaveV2", "OP_CHECKPOINT"),
        ("MyOp", "OP_UNKNOWN"),
        ("RpcCall", "OP_NETWORK"),
    )
}
HOSTILE |= {
    "in a while's body": ("OP_FILES", lambda: branch("ReadFile", "While", body=call("body"), cond=call("body"))),
    "in a stateless while's condition": ("OP_CODE", lambda: branch("PyFunc", "StatelessWhile", cond=call("body"))),
    "in an if's branch": ("OP_FILES", lambda: branch("MatchingFiles", "If", else_branch=call("body"))),
    "in a case": ("OP_FILES", lambda: branch("TFRecordDataset", "Case", branches=calls("body"))),
    "in a dataset's function": ("OP_FILES", lambda: branch("WriteFile", "MapDataset", f=call("body"))),
    "graph in data": ("OP_FILES", lambda: nested(1)),
    "graph in a graph in data": ("OP_FILES", lambda: nested(2)),
    "graph three deep in data": ("OP_FILES", lambda: nested(3)),
    "checkpoint in data": ("OP_CHECKPOINT", lambda: nested(2, "RestoreV2")),
    "joined path of a table": ("OP_TABLE", joined_table),
    "joined path of a file": ("OP_FILES", lambda: joined("ReadFile")),
    "joined path of a checkpoint": ("OP_CHECKPOINT", lambda: joined("RestoreV2")),
    "prints into a file": ("OP_FILES", lambda: good_artifact(extra_nodes=[node("p", "PrintV2", output_stream="file://x")])),
    "hard link": ("TAR_LINK", lambda: with_entry(entry("1/l", kind=b"1", link="1/saved_model.pb"))),
    "named pipe": ("TAR_DEVICE", lambda: with_entry(entry("1/p", kind=b"6"))),
    "newline in a name": ("TAR_NAME", lambda: with_entry(entry("1/a\nb"))),
    "the same name twice": ("TAR_DUPLICATE", lambda: with_entry(entry("1/saved_model.pb", b"x"))),
    "two forms of a letter": ("TAR_DUPLICATE", lambda: with_entry(entry("1/\u00e9") + entry("1/e\u0301"))),
    "superscript version": ("LAYOUT_STRAY_VERSION", lambda: with_files({"²": b""})),
    "zeros before a version": ("LAYOUT_TWO_VERSIONS", lambda: tar_gz({**good_members("1"), **good_members("01")})),
    "version too large": ("LAYOUT_VERSION_NAME", lambda: tar_gz(good_members(str(2**63)))),
    "gzip magic flipped": ("GZIP_NOT_GZIP", lambda: flipped(0)),
    "gzip method flipped": ("GZIP_HEADER", lambda: flipped(2)),
    "gzip length flipped": ("GZIP_CORRUPT", lambda: flipped(-1)),
    "gzip checksum flipped": ("GZIP_CORRUPT", lambda: flipped(-5)),
    "no end mark": ("TAR_TRUNCATED", lambda: gz(tar_bytes(good_members())[:-1024])),
    "overlapping tensors": ("VARIABLES_TENSOR VARIABLES_SHARDS", lambda: with_variables(
        variables_files({"a": EIGHT, "b": EIGHT}, overrides={"b": {"offset": 4}}))),
    "wrong shard": ("VARIABLES_TENSOR", lambda: shards(a={"shard_id": 7})),
    "dtype of another size": ("VARIABLES_TENSOR", lambda: shards(a={"dtype": 2})),
    "wrong checksum in the index": ("VARIABLES_CHECKSUM", lambda: shards(b={"crc32c": 1})),
    "missing asset": ("MODEL_ASSET", lambda: good_artifact(assets=["words.txt"])),
    "asset above assets/": ("MODEL_ASSET", lambda: good_artifact(assets=["../saved_model.pb"])),
    "train tag only": ("MODEL_NO_SERVE_TAG", lambda: good_artifact(tags=["train"])),
    "consumer too old": ("MODEL_VERSION", lambda: good_artifact(bad_consumers=[2288])),
}  # fmt: skip


def a_constant(size: int) -> bytes:
    tensor = message("AttrValue")(
        tensor=message("TensorProto")(dtype=DT_FLOAT, tensor_content=Random(1).randbytes(size))
    )
    return good_artifact(extra_nodes=[node("big", "Const", dtype=DT_FLOAT, value=tensor)])


def called(**signatures: Any) -> bytes:
    return good_artifact(signatures=signatures)


def pax_time() -> bytes:
    return with_entry(entry("x", b"20 mtime=1700000.50\n", kind=b"x") + entry("1/assets/x"))


def members_of_gzip(parts: int) -> bytes:
    content = tar_bytes(good_members())
    size = len(content) // parts + 1
    return b"".join(gzip.compress(content[at : at + size]) for at in range(0, len(content), size))


WORDS = {"words": (DT_STRING, (2,), string_tensor(b"ab", b"c")), "w": EIGHT}
GOOD: dict[str, Build] = {
    **{f"at {place}": partial(lambda place: good_artifact(version=place), place)
       for place in ("1", "./1", "export/Servo/1", "name/00000123", "a/b/c/42", "0", str(2**63 - 1))},
    **{f"{n} shards": partial(lambda n: with_variables(variables_files({"a": EIGHT, "w": EIGHT}, shards=n)), n)
       for n in (1, 2, 3, 5)},
    **{f"{n} gzip members": partial(members_of_gzip, n) for n in (2, 5)},
    **{f"of TensorFlow {version}": partial(lambda version: good_artifact(tensorflow_version=version), version)
       for version in ("1.15.5", "2.4.1", "2.20.0", "unknown")},
    "string variables": lambda: with_variables(variables_files(WORDS)),
    "large constant": lambda: a_constant(5_000_000),
    "small constants": lambda: a_constant(1000),
    "string input": lambda: called(serving_default=signature({"text": ("x:0", DT_STRING, (-1,))})),
    "classify and regress": lambda: called(
        serving_default=signature(method="tensorflow/serving/classify"),
        regress=signature(method="tensorflow/serving/regress")),
    "no serving_default": lambda: called(other=signature()),
    "no input": lambda: called(serving_default=signature({})),
    "ragged and sparse operations": lambda: good_artifact(
        extra_nodes=[node(op, op) for op in ("RaggedTensorToTensor", "SparseToDense", "ParseExampleV2")]),
    "hash table from constants": lambda: good_artifact(
        extra_nodes=[node(op, op) for op in ("HashTableV2", "LookupTableImportV2", "LookupTableFindV2")]),
    "control flow of v1": lambda: good_artifact(
        extra_nodes=[node(op, op) for op in ("Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond")]),
    "control flow of v2": lambda: branch("MatMul", "StatelessWhile", body=call("body"), cond=call("body")),
    "recurrent cells of a GPU": lambda: good_artifact(extra_nodes=[node("r", "CudnnRNNV3")]),
    "asset": lambda: tar_gz({**good_members(assets=["v.txt"]), "1/assets/v.txt": b"a"}),
    "extra files": lambda: with_files({"1/keras_metadata.pb": b"x", "1/fingerprint.pb": b"x", "README.md": b"x"}),
    "times in pax headers": pax_time,
    "directories": lambda: with_entry(entry("1/assets/", kind=b"5")),
    "no golden requests": lambda: tar_gz({n: c for n, c in good_members().items() if "golden" not in n}),
    "no variables": lambda: good_artifact(nodes=[node("x", "Placeholder"), node("y", "Identity", ["x"])], functions=[]),
}  # fmt: skip


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(HOSTILE) >= 60
    assert len(GOOD) >= 25


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_with_its_code(name: str) -> None:
    code, build = HOSTILE[name]
    assert refusals(build()) == set(code.split())


@pytest.mark.parametrize("name", GOOD)
def test_a_good_archive_passes(name: str) -> None:
    report = inspect(GOOD[name]())
    assert [f"{check.code} {check.what}" for check in report.refusals] == []


@pytest.mark.parametrize("name", ["OP_FILES", "EMPTY", "TAR_ESCAPE"])
def test_every_report_has_the_published_schema(name: str) -> None:
    published = Path(__file__).parents[2] / "docs" / "artifact.schema.json"
    assert published.read_text() == as_text(), "run: python -m modeldrop.artifact.schema > docs/artifact.schema.json"
    for data in (HOSTILE[name][1](), good_artifact()):
        document = json.loads(json.dumps(report_to_json(inspect(data))))
        jsonschema.validate(document, report_schema())
        assert set(document) == set(report_schema()["properties"])


def test_a_defect_of_a_check_is_a_refusal_and_never_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(inspection, "find_model", broken)
    report = inspect(good_artifact())
    assert [(check.code, check.what) for check in report.refusals] == [
        ("INTERNAL_UNREADABLE", "ZeroDivisionError: a defect")
    ]


def test_an_input_that_fails_is_not_the_archives_fault() -> None:
    class Cut(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise RuntimeError("the connection is gone")

    with pytest.raises(RuntimeError, match="the connection is gone"):
        inspection.inspect_artifact(Cut(b""), allow_code=False, max_size_bytes=1000)


PARTS = sorted(good_members(golden=()))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(PARTS), st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=4)), min_size=1, max_size=4)
)
def test_a_mutated_member_never_breaks_a_check(name: str, edits: list[tuple[int, bytes]]) -> None:
    members = good_members()
    content = bytearray(members[name])
    for at, replacement in edits:
        place = at % (len(content) + 1)
        content[place : place + len(replacement)] = replacement
    assert "INTERNAL_UNREADABLE" not in refusals(tar_gz({**members, name: bytes(content)}))


def test_data_before_its_index_is_summed_in_a_second_look() -> None:
    members = good_members()
    shard = "1/variables/variables.data-00000-of-00001"
    first = {shard: struct.pack("<2f", 1, 2), **{name: held for name, held in members.items() if name != shard}}
    assert refusals(tar_gz(first)) == {"VARIABLES_CHECKSUM"}
    report = inspect(tar_gz(first), again=None)
    assert [check.code for check in report.warnings] == ["VARIABLES_UNSUMMED"]


class Broken(io.BytesIO):
    """A stream whose second part does not come."""

    def read(self, at_most: int | None = -1) -> bytes:
        raise TimeoutError("no answer")


def not_opened() -> Broken:
    raise TimeoutError("no answer")


@pytest.mark.parametrize("again", [Broken, not_opened])
def test_a_second_look_that_fails_is_no_fault_of_the_archive(again: Callable[[], Broken]) -> None:
    members = good_members()
    shard = "1/variables/variables.data-00000-of-00001"
    first = {shard: members[shard], **{name: held for name, held in members.items() if name != shard}}
    with pytest.raises(TimeoutError, match="no answer"):
        inspect(tar_gz(first), again=again)
