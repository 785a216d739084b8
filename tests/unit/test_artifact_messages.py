"""The fields we read of TensorFlow's messages have the numbers and types that TensorFlow gives them."""

import ast
from collections.abc import Iterator
from importlib.metadata import files

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from modeldrop.artifact.messages import DTYPES, FIELDS, message

INT32, ENUM = FieldDescriptorProto.TYPE_INT32, FieldDescriptorProto.TYPE_ENUM


def serialized_descriptors() -> Iterator[FileDescriptorProto]:
    """Descriptors out of TensorFlow's generated files, read as text, since importing TensorFlow takes seconds."""
    for path in files("tensorflow-cpu") or []:
        if path.name.endswith("_pb2.py") and str(path.parent) in (
            "tensorflow/core/framework",
            "tensorflow/core/protobuf",
        ):
            for found in ast.walk(ast.parse(path.read_text())):
                if isinstance(found, ast.Call) and getattr(found.func, "attr", "") == "AddSerializedFile":
                    yield FileDescriptorProto.FromString(ast.literal_eval(found.args[0]))


def nested(prefix: str, descriptor: DescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
    yield f"{prefix}{descriptor.name}", descriptor
    for inner in descriptor.nested_type:
        yield from nested(f"{prefix}{descriptor.name}.", inner)


@pytest.fixture(scope="module")
def descriptors() -> list[FileDescriptorProto]:
    return list(serialized_descriptors())


@pytest.fixture(scope="module")
def theirs(descriptors: list[FileDescriptorProto]) -> dict[str, DescriptorProto]:
    return {name: found for file in descriptors for top in file.message_type for name, found in nested("", top)}


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_is_numbered_and_typed_as_in_tensorflow(name: str, theirs: dict[str, DescriptorProto]) -> None:
    known = {field.name: field for field in theirs[name].field}
    for ours in message(name).DESCRIPTOR.fields:
        field = known[ours.name]
        wire_type = INT32 if field.type == ENUM else field.type
        assert (ours.number, ours.type) == (field.number, wire_type), ours.name
        assert ours.is_repeated == (field.label == FieldDescriptorProto.LABEL_REPEATED), ours.name


def test_each_dtype_is_numbered_as_in_tensorflow(descriptors: list[FileDescriptorProto]) -> None:
    enum = next(enum for file in descriptors for enum in file.enum_type if enum.name == "DataType")
    names = {value.number: value.name.removeprefix("DT_").lower() for value in enum.value}
    ours = {"float32": "float", "float64": "double", "float16": "half"}
    assert {number: ours.get(name, name) for number, (name, _) in DTYPES.items()} == {
        number: names[number] for number in DTYPES
    }
