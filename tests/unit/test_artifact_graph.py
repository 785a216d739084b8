"""Hostile graphs are seen wherever they hide, harmless ones pass."""

from pathlib import Path
from typing import Any

import pytest

from modeldrop.artifact import operations
from modeldrop.artifact.messages import message
from tests.unit.artifact_builders import (
    SAVER,
    call,
    calls,
    function,
    good_artifact,
    good_members,
    graph_bytes,
    node,
    packed_strings,
    savedmodel_bytes,
    signature,
    strings,
    tar_gz,
)
from tests.unit.test_artifact_inspect import inspect, refusals

WRITE = graph_bytes(node("w", "WriteFile"))


def found(**model: Any) -> set[str]:
    return refusals(good_artifact(**model))


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("ReadFile", "OP_FILES"),
        ("WriteFile", "OP_FILES"),
        ("MatchingFiles", "OP_FILES"),
        ("TextLineDataset", "OP_FILES"),
        ("TFRecordDatasetV2", "OP_FILES"),
        ("RecordInput", "OP_FILES"),
        ("CreateSummaryFileWriter", "OP_FILES"),
        ("PyFunc", "OP_CODE"),
        ("EagerPyFunc", "OP_CODE"),
        ("Abort", "OP_CODE"),
        ("DatasetFromGraph", "OP_GRAPH"),
        ("DataServiceDatasetV4", "OP_NETWORK"),
        ("DebugIdentityV3", "OP_NETWORK"),
        ("SaveV2", "OP_CHECKPOINT"),
        ("RestoreV2", "OP_CHECKPOINT"),
        ("InitializeTableFromTextFileV2", "OP_TABLE"),
        ("SimpleMLLoadModelFromPathWithHandle", "OP_FILES"),
    ],
)
def test_a_denied_operation_is_refused_in_the_graph_and_in_any_function(operation: str, code: str) -> None:
    assert found(extra_nodes=[node("n", operation)]) == {code}
    inner = [node("use", "PartitionedCall", f=call("inner")), node("y2", "If", then_branch=call("inner"))]
    assert found(extra_functions=[function("inner", node("n", operation))], extra_nodes=inner) == {code}


def test_what_tf_serving_links_passes_and_is_told() -> None:
    report = inspect(good_artifact(extra_nodes=[node("n", "TFText>WhitespaceTokenizeWithOffsetsV2")]))
    (check,) = (check for check in report.checks if check.code == "OP_LINKED")
    assert (check.result, check.what) == ("warned", "TFText>WhitespaceTokenizeWithOffsetsV2 is tensorflow-text's")
    assert not report.refusals


def test_what_is_linked_is_not_tensorflow_s_own_and_not_refused_by_name() -> None:
    own = (Path(operations.__file__).with_name("operations.txt")).read_text().splitlines()
    assert operations.linked()
    assert operations.linked().isdisjoint(own)
    assert [name for name in operations.linked() if operations.reason(name)] == []


def test_the_place_is_named() -> None:
    report = inspect(good_artifact(extra_functions=[function("cond_true_7", node("cond/WriteFile", "WriteFile"))]))
    assert report.refusals[0].where == "function cond_true_7, node cond/WriteFile"


@pytest.mark.parametrize("operation", ["MatMul", "While", "LookupTableFindV2", "StringSplitV2", "Print", "Assert"])
def test_a_harmless_operation_passes(operation: str) -> None:
    assert found(extra_nodes=[node("n", operation)]) == set()


@pytest.mark.parametrize(
    ("operation", "attributes", "refused"),
    [
        ("PrintV2", {"output_stream": "stderr"}, False),
        ("PrintV2", {"output_stream": "log(info)"}, False),
        ("PrintV2", {"output_stream": "file:///tmp/x"}, True),
        ("DecodeProtoV2", {"descriptor_source": "local://"}, False),
        ("DecodeProtoV2", {"descriptor_source": "/etc/passwd"}, True),
        ("EncodeProto", {"descriptor_source": "bytes://x"}, False),
        ("FixedUnigramCandidateSampler", {"vocab_file": ""}, False),
        ("FixedUnigramCandidateSampler", {"vocab_file": "/etc/passwd"}, True),
    ],
)
def test_some_operations_are_judged_by_their_attributes(
    operation: str, attributes: dict[str, str], refused: bool
) -> None:
    assert found(extra_nodes=[node("n", operation, **attributes)]) == ({"OP_FILES"} if refused else set())


@pytest.mark.parametrize(
    "hiding",
    [
        node("c", "Const", value=strings(b"harmless", WRITE)),
        node("c", "Const", value=packed_strings(b"harmless", WRITE)),
        node("c", "Identity", data=WRITE),
        node("c", "Const", value=strings(graph_bytes(node("d", "Const", value=strings(WRITE))))),
        node("c", "Const", value=strings(graph_bytes(*[node("n", "Add")] * 20_000, node("w", "WriteFile")))),
        node(
            "c",
            "Const",
            value=strings(
                message("GraphDef")(
                    library=message("FunctionDefLibrary")(function=[function("f", node("w", "WriteFile"))])
                ).SerializeToString()
            ),
        ),
    ],
    ids=["string", "packed", "attribute", "twice", "large", "library"],
)
def test_a_graph_hidden_in_data_is_judged_too(hiding: Any) -> None:
    assert found(extra_nodes=[hiding]) == {"OP_FILES"}


def test_graphs_hidden_without_end_are_refused() -> None:
    hidden = WRITE
    for _ in range(12):
        hidden = graph_bytes(node("c", "Const", value=strings(hidden)))
    assert found(extra_nodes=[node("c", "Const", value=strings(hidden))]) == {"OP_GRAPH"}


def test_ordinary_text_is_not_taken_for_a_graph() -> None:
    words = [b"customer", b"\n\x07WriteFile", b"WriteFile" * 10_000, b"\n" * 100_000]
    assert found(extra_nodes=[node("c", "Const", value=strings(*words))]) == set()


def test_checkpoint_operations_of_the_saver_pass() -> None:
    assert found() == set()


def test_a_signature_that_reaches_the_saver_is_refused() -> None:
    nodes = [
        node("x", "Placeholder"),
        node("y", "Identity", ["x", "^save"]),
        node("save", "SaveV2", ["x"]),
    ]
    assert found(nodes=nodes, functions=[]) == {"OP_CHECKPOINT"}


def test_an_initialiser_that_reaches_the_saver_is_refused() -> None:
    collections = {"saved_model_main_op": ["restore"]}
    assert found(collections=collections) == {"OP_CHECKPOINT"}


def test_restoring_must_not_write() -> None:
    assert found(saver=(SAVER[0], "", "save")) == {"OP_CHECKPOINT"}


def test_a_saver_reached_through_functions_of_functions_is_seen() -> None:
    functions = [
        function("outer", node("n", "PartitionedCall", f=call("middle"))),
        function("middle", node("n", "Case", branches=calls("harmless", "inner"))),
        function("harmless", node("n", "Add")),
        function("inner", node("n", "SaveV2")),
    ]
    nodes = [node("z", "PartitionedCall", f=call("outer"))]
    assert found(extra_nodes=nodes, extra_functions=functions) == {"OP_CHECKPOINT"}


def test_functions_that_call_each_other_come_to_an_end() -> None:
    functions = [
        function("a", node("n", "PartitionedCall", f=call("b"))),
        function("b", node("n", "PartitionedCall", f=call("a")), node("s", "SaveV2")),
    ]
    assert found(extra_nodes=[node("z", "a")], extra_functions=functions) == {"OP_CHECKPOINT"}


def test_a_large_numeric_constant_is_passed_over() -> None:
    tensor = message("AttrValue")(tensor=message("TensorProto")(dtype=1, tensor_content=bytes(range(256)) * 20_000))
    assert found(extra_nodes=[node("c", "Const", dtype=1, value=tensor)]) == set()
    assert found(extra_nodes=[node("c", "Const", dtype=7, value=tensor)]) == {"MODEL_TOO_LARGE"}


@pytest.mark.parametrize(
    ("version", "warned"),
    [("2.20.1", False), ("1.15.0", False), ("2.21.0", True), ("3.0.0", True), ("2.21.0-dev", True), ("odd", False)],
)
def test_a_newer_tensorflow_is_told(version: str, warned: bool) -> None:
    report = inspect(good_artifact(tensorflow_version=version))
    assert ("MODEL_NEWER_TENSORFLOW" in {check.code for check in report.warnings}) == warned


def test_a_graph_that_forbids_this_consumer_is_refused() -> None:
    assert found(bad_consumers=[2288]) == {"MODEL_VERSION"}


def test_two_serving_graphs_are_refused() -> None:
    twice = savedmodel_bytes() * 2
    assert refusals(tar_gz({**good_members(), "1/saved_model.pb": twice})) == {"MODEL_NO_SERVE_TAG"}


def test_a_train_graph_beside_the_serving_one_is_judged_too() -> None:
    both = savedmodel_bytes() + savedmodel_bytes(tags=["train"], extra_nodes=[node("w", "WriteFile")])
    assert refusals(tar_gz({**good_members(), "1/saved_model.pb": both})) == {"OP_FILES"}


def test_a_large_library_hidden_in_data_is_judged_too() -> None:
    body = function("f", *[node("n", "Add")] * 20_000, node("w", "WriteFile"))
    graph = message("GraphDef")(library=message("FunctionDefLibrary")(function=[body]))
    assert found(extra_nodes=[node("c", "Const", value=strings(graph.SerializeToString()))]) == {"OP_FILES"}


def test_a_checkpoint_operation_hidden_in_data_is_refused() -> None:
    assert found(extra_nodes=[node("c", "Const", value=strings(graph_bytes(node("s", "SaveV2"))))]) == {"OP_CHECKPOINT"}


def test_large_data_that_only_resembles_a_graph_passes() -> None:
    pieces = b"\n\x08\n\x06pieces" * 20_000  # nodes with a name and no operation, as a tokenizer's vocabulary has
    assert found(extra_nodes=[node("c", "Const", value=strings(pieces))]) == set()


def test_string_lengths_that_cannot_be_read_refuse_the_model() -> None:
    broken = packed_strings(b"x")
    broken.tensor.tensor_content = b"\xff" * 20
    assert found(extra_nodes=[node("c", "Const", value=broken)]) == {"MODEL_UNREADABLE"}


def test_a_graph_with_more_nodes_than_can_be_held_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modeldrop.artifact.graph.MAX_NODES", 5)
    assert found() == {"MODEL_TOO_LARGE"}


def test_a_signature_without_output_is_refused() -> None:
    assert found(signatures={"serving_default": signature(outputs={})}) == {"MODEL_SIGNATURE"}


def test_more_signatures_than_a_model_has_are_refused() -> None:
    assert found(signatures={f"s{number}": signature() for number in range(201)}) == {"MODEL_UNREADABLE"}


def test_an_operation_the_server_does_not_have_is_refused_with_its_place() -> None:
    report = inspect(good_artifact(extra_functions=[function("f", node("n", "MyCustomOp"))]))
    assert [(check.code, check.where) for check in report.refusals] == [("OP_UNKNOWN", "function f, node n")]


@pytest.mark.parametrize(
    ("operation", "code"),
    [("_HostSend", "OP_CODE"), ("ConfigureDistributedTPU", "OP_NETWORK"), ("CollectiveReduceV2", "OP_NETWORK")],
)
def test_families_of_operations_are_refused_with_their_reason(operation: str, code: str) -> None:
    assert found(extra_nodes=[node("n", operation)]) == {code}


def test_a_function_may_be_called_by_any_name() -> None:
    assert found(extra_nodes=[node("n", "_TPU_f")], extra_functions=[function("_TPU_f", node("a", "Add"))]) == set()


ASSET = message("AssetFileDef")(tensor_info=message("TensorInfo")(name="asset:0"), filename="words.txt")


def init_in(depth: int, source: str) -> tuple[list[Any], list[Any]]:
    """A text-file table `depth` functions deep, its file's name from `source` in the main graph."""
    functions = [function("f1", node("i", "InitializeTableFromTextFileV2", ["t", "path"]), arguments=["t", "path"])]
    for level in range(2, depth + 1):
        inner = node("c", "StatefulPartitionedCall", ["t", "path"], f=call(f"f{level - 1}"))
        functions.append(function(f"f{level}", inner, arguments=["t", "path"]))
    nodes = [
        node("asset", "Const", value=strings(b"")),
        node("joined", "StringJoin", ["asset", "x"]),
        node("same", "Identity", ["asset"]),
        node("table", "HashTableV2"),
        node("go", "StatefulPartitionedCall", ["table", source], f=call(f"f{depth}")),
    ]
    return nodes, functions


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize(("source", "good"), [("asset", True), ("same", True), ("joined", False), ("x", False)])
def test_a_table_reads_an_asset_and_nothing_else(depth: int, source: str, good: bool) -> None:
    nodes, functions = init_in(depth, source)
    data = good_members(extra_nodes=nodes, extra_functions=functions, asset_defs=[ASSET])
    assert refusals(tar_gz({**data, "1/assets/words.txt": b"a"})) == (set() if good else {"OP_TABLE"})


def test_a_table_with_a_path_of_its_own_is_refused_although_there_is_an_asset() -> None:
    inside = function(
        "f", node("p", "Const", value=strings(b"/x")), node("i", "InitializeTableFromTextFileV2", ["t", "p"])
    )
    data = good_members(extra_functions=[inside], asset_defs=[ASSET])
    assert refusals(tar_gz({**data, "1/assets/words.txt": b"a"})) == {"OP_TABLE"}


@pytest.mark.parametrize(
    ("extra", "good"),
    [
        ([], True),
        ([node("again", "AssignVariableOp", ["held", "joined"])], False),
        ([node("give", "PartitionedCall", ["held"], f=call("f1"))], False),
        ([node("twin", "VarHandleOp", shared_name="held"), node("a", "AssignVariableOp", ["twin", "joined"])], False),
    ],
    ids=["asset", "assigned twice", "given to a function", "a second handle"],
)
def test_a_variable_that_holds_only_an_asset_is_one(extra: list[Any], good: bool) -> None:
    nodes, functions = init_in(1, "read")
    held = [
        node("held", "VarHandleOp", shared_name="held"),
        node("put", "AssignVariableOp", ["held", "asset"]),
        node("read", "ReadVariableOp", ["held"]),
    ]
    data = good_members(extra_nodes=[*nodes, *held, *extra], extra_functions=functions, asset_defs=[ASSET])
    assert refusals(tar_gz({**data, "1/assets/words.txt": b"a"})) == (set() if good else {"OP_TABLE"})
