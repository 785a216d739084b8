"""The rules of the TensorFlow Serving container, without a process and without TensorFlow.

Sources: aws/deep-learning-containers, tensorflow/inference (tensorflowServing.js, tfs_utils.py); tensorflow/serving,
util/json_tensor.cc and api_rest.md.
"""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest

from localcloud.model_server import tensors
from localcloud.model_server.archive import ArchiveError, unpack
from localcloud.model_server.container import answer_type, parse_attributes, to_tfs_json
from localcloud.model_server.errors import LayoutError, ServingError
from localcloud.model_server.examples import write_classes, write_values
from localcloud.model_server.layout import default_model, find_models
from localcloud.model_server.tensors import TensorSpec

FLOAT = TensorSpec("x", "DT_FLOAT", np.dtype("float32"))
INT = TensorSpec("x", "DT_INT32", np.dtype("int32"))
TEXT = TensorSpec("x", "DT_STRING", np.dtype(object))
BOOL = TensorSpec("x", "DT_BOOL", np.dtype(bool))


def rows(instances, spec=FLOAT):
    return tensors.from_rows(instances, {"x": spec})["x"].tolist()


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", '{"instances": [1]}', '{"instances": [1]}'),
        ("application/json", '{"inputs": [1]}', '{"inputs": [1]}'),
        ("application/json", "[1, 2]", '{"instances":[[1, 2]]}'),
        ("application/json", "[[1, 2]]", '{"instances":[[1, 2]]}'),
        ("application/json", "5", '{"instances":[5]}'),
        ("application/jsonlines", "[1, 2]\n[3, 4]", '{"instances":[[1, 2],[3, 4]]}'),
        ("application/jsons", '{"a": 1}\n{"a": 2}', '{"instances":[{"a": 1},{"a": 2}]}'),
        ("text/csv", "1.0,2.0\n3.0,4.0", '{"instances":[[1.0,2.0],[3.0,4.0]]}'),
        ("text/csv", "1\n2", '{"instances":[1,2]}'),
        ("text/csv", "abc,def", '{"instances":[["abc","def"]]}'),
    ],
)
def test_a_body_becomes_tensorflow_servings_json(content_type, body, expected):
    assert json.loads(to_tfs_json(content_type, body.encode())) == json.loads(expected)


@pytest.mark.parametrize("content_type", [None, "image/png", "application/json; charset=utf-8"])
def test_other_types_are_415(content_type):
    with pytest.raises(ServingError, match="Unsupported Media Type") as refused:
        to_tfs_json(content_type, b"x")
    assert refused.value.status == 415


def test_custom_attributes_are_read():
    header = "trace=7,tfs-model-name=other,tfs-model-version=3,tfs-method=classify"
    assert parse_attributes(header) == {
        "tfs-model-name": "other", "tfs-model-version": "3", "tfs-method": "classify",
    }  # fmt: skip
    assert parse_attributes(None) == {}


@pytest.mark.parametrize("header", ["tfs-method=explode", "tfs-model-version=new"])
def test_malformed_attributes_are_400(header):
    with pytest.raises(ServingError) as refused:
        parse_attributes(header)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("accept", "expected"),
    [(None, "application/json"), ("application/jsonlines", "application/jsonlines"), ("*/*", "application/json")],
)
def test_accept_names_the_answers_type(accept, expected):
    assert answer_type(accept) == expected


@pytest.mark.parametrize(
    ("value", "spec", "problem"),
    [
        (["a"], FLOAT, "Type: String is not of expected type: float"),
        ([None], FLOAT, "Type: Null is not of expected type: float"),
        ([True], FLOAT, "is not of expected type: float"),
        ([1.5], INT, "is not of expected type: int32"),
        ([2**31], INT, "is not of expected type: int32"),
        ([1], BOOL, "is not of expected type: bool"),
        ([1], TEXT, "is not of expected type: string"),
        ([16777217], FLOAT, "without loss of precision"),
        ([[1, 2], [3]], FLOAT, "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ([[1, 2], 3], FLOAT, "found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ([[1], [[2]]], FLOAT, "Encountered list at unexpected level: 2 expected < 2"),
        ([{"b64": "!"}], TEXT, "Unable to base64 decode"),
        ([{"x": 1, "z": 2}], FLOAT, "keys must be equal to: x"),
        ([], FLOAT, "No values in 'instances' array"),
        ({"a": 1}, FLOAT, "Excepting 'instances' to be an list/array"),
    ],
)
def test_types_and_shapes_are_strict(value, spec, problem):
    with pytest.raises(ServingError, match=problem.replace("[", r"\[")) as refused:
        rows(value, spec)
    assert refused.value.status == 400


def test_rows_become_one_batch():
    assert rows([[1, 2], [3.5, 4]]) == [[1.0, 2.0], [3.5, 4.0]]
    assert rows([{"x": 1}, {"x": 2}], INT) == [1, 2]
    assert rows(["ä", {"b64": "AP8="}], TEXT) == ["ä".encode(), b"\x00\xff"]
    assert rows([True, False], BOOL) == [True, False]


def test_columns_are_taken_as_they_are():
    specs = {"a": TensorSpec("a", "DT_FLOAT", np.dtype("float32")), "b": TensorSpec("b", "DT_INT64", np.dtype("int64"))}
    found = tensors.from_columns({"a": [[1]], "b": 2}, specs)
    assert (found["a"].shape, found["b"].shape) == ((1, 1), ())
    with pytest.raises(ServingError, match="Missing named input: b"):
        tensors.from_columns({"a": 1}, specs)
    with pytest.raises(ServingError, match="inputs is a plain value"):
        tensors.from_columns([1], specs)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"instances": [1], "inputs": [1]}', '{"x": 1}', "[" * 100_000])
def test_what_is_no_request_is_400(text):
    with pytest.raises(ServingError) as refused:
        tensors.is_row_request(tensors.parse_request(text))
    assert refused.value.status == 400


def test_answers_are_written_by_rows_or_columns():
    y, n = np.array([0.2, 3.0], np.float32), np.array([[1], [2]], np.int64)
    assert tensors.to_rows({"y": y}) == '{"predictions": [0.2, 3.0]}'
    assert json.loads(tensors.to_rows({"y": y, "n": n})) == {
        "predictions": [{"y": 0.2, "n": [1]}, {"y": 3.0, "n": [2]}]
    }
    assert json.loads(tensors.to_columns({"y": y})) == {"outputs": [0.2, 3.0]}
    assert json.loads(tensors.to_columns({"y": y, "n": n})) == {"outputs": {"y": [0.2, 3.0], "n": [[1], [2]]}}


def test_strings_are_text_unless_the_output_is_named_bytes():
    value = np.array(["ä".encode()], dtype=object)
    assert tensors.to_json("text", value) == ["ä"]
    assert tensors.to_json("text_bytes", value) == [{"b64": "w6Q="}]


def test_rows_need_one_batch_size():
    with pytest.raises(ServingError, match="no shape information"):
        tensors.to_rows({"y": np.float32(1).reshape(())})
    with pytest.raises(ServingError, match="inconsistent batch size: 2 expecting: 1"):
        tensors.to_rows({"a": np.zeros(1), "b": np.zeros(2)})


def test_classes_and_values_are_written_as_results():
    outputs = {"classes": np.array([[b"no", b"yes"]], object), "scores": np.array([[0.25, 0.75]], np.float32)}
    assert json.loads(write_classes(outputs)) == {"results": [[["no", 0.25], ["yes", 0.75]]]}
    assert json.loads(write_values({"outputs": np.array([[1.5], [2.5]], np.float32)})) == {"results": [1.5, 2.5]}


@pytest.fixture
def folder(tmp_path):
    def make(*names: str):
        for name in names:
            path = tmp_path / name
            if name.endswith("/"):
                path.mkdir(parents=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"")
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["1/saved_model.pb"], [("model", [1])]),
        (["export/Servo/0012/saved_model.pb"], [("Servo", [12])]),
        (["a/1/saved_model.pb", "b/2/saved_model.pb", "b/3/saved_model.pb"], [("a", [1]), ("b", [2, 3])]),
    ],
)
def test_models_are_found_by_their_version_folders(folder, files, found):
    assert [(m.name, list(m.versions)) for m in find_models(folder(*files))] == found


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (["saved_model.pb"], "no SavedModel bundles found"),
        (["v1/saved_model.pb"], "no SavedModel bundles found"),
        (["1/saved_model.pbtxt"], "no SavedModel bundles found"),
        (["1/saved_model.pb", "7/"], "version 7"),
        (["1/saved_model.pb", "2"], "version 2"),
    ],
)
def test_what_the_container_can_not_load_is_said(folder, files, problem):
    with pytest.raises(LayoutError, match=problem):
        find_models(folder(*files))


def test_the_environment_names_the_default_model(folder):
    models = find_models(folder("a/1/saved_model.pb", "b/1/saved_model.pb"))
    assert default_model(models, {"SAGEMAKER_TFS_DEFAULT_MODEL_NAME": "b"}).name == "b"
    with pytest.raises(LayoutError, match="is c"):
        default_model(models, {"SAGEMAKER_TFS_DEFAULT_MODEL_NAME": "c"})


def _tar(tmp_path, *members: tuple[tarfile.TarInfo, bytes]):
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def _link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


@pytest.mark.parametrize(
    "members",
    [
        [(tarfile.TarInfo("../escaped"), b"x")],
        [(tarfile.TarInfo("/tmp/../escaped/../../x"), b"x")],
        [(_link("1", "/etc"), b"")],
        [(tarfile.TarInfo("bomb"), b"\0" * 30_000_000)],
    ],
    ids=["parent", "absolute", "link", "bomb"],
)
def test_an_archive_stays_in_its_folder(tmp_path, members, monkeypatch):
    monkeypatch.setattr("localcloud.model_server.archive.MAX_RATIO", 900)
    target = tmp_path / "inside" / "model"
    with pytest.raises(ArchiveError):
        unpack(_tar(tmp_path, *members), target)
    assert not (tmp_path / "inside" / "escaped").exists()


def test_what_is_no_archive_is_said(tmp_path):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(b"not an archive")
    with pytest.raises(ArchiveError):
        unpack(path, tmp_path / "model")
