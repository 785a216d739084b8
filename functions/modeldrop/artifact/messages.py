"""The few protocol buffer fields of TensorFlow that the checks read, as message classes of our own.

TensorFlow's generated classes come with a package called `tensorflow`, which either is all of TensorFlow (seconds to
import, half a gigabyte) or hides it. Fields that are not listed here stay unread, which makes parsing cheaper too.
Numbers and types are TensorFlow's: tests/unit/test_artifact_messages.py compares them with its own descriptors.
Enums are read as int32, which is the same on the wire.
"""

from __future__ import annotations

from functools import cache
from typing import Any

# message -> {field: "number [repeated] type"}; map<T> is map<string, T>
FIELDS: dict[str, dict[str, str]] = {
    "NodeDef": {"name": "1 string", "op": "2 string", "input": "3 repeated string", "attr": "5 map AttrValue"},
    "AttrValue": {
        "list": "1 AttrValue.ListValue",
        "s": "2 bytes",
        "type": "6 int32",
        "tensor": "8 TensorProto",
        "func": "10 NameAttrList",
    },
    "AttrValue.ListValue": {
        "s": "2 repeated bytes",
        "tensor": "8 repeated TensorProto",
        "func": "9 repeated NameAttrList",
    },
    "NameAttrList": {"name": "1 string", "attr": "2 map AttrValue"},
    "TensorProto": {
        "dtype": "1 int32",
        "tensor_shape": "2 TensorShapeProto",
        "tensor_content": "4 bytes",
        "string_val": "8 repeated bytes",
    },
    "TensorShapeProto": {"dim": "2 repeated TensorShapeProto.Dim", "unknown_rank": "3 bool"},
    "TensorShapeProto.Dim": {"size": "1 int64"},
    "GraphDef": {"node": "1 repeated NodeDef", "library": "2 FunctionDefLibrary", "versions": "4 VersionDef"},
    "VersionDef": {"producer": "1 int32", "min_consumer": "2 int32", "bad_consumers": "3 repeated int32"},
    "FunctionDefLibrary": {"function": "1 repeated FunctionDef"},
    "FunctionDef": {"signature": "1 OpDef", "node_def": "3 repeated NodeDef"},
    "OpDef": {"name": "1 string", "input_arg": "2 repeated OpDef.ArgDef"},
    "OpDef.ArgDef": {"name": "1 string"},
    "SavedModel": {"saved_model_schema_version": "1 int64", "meta_graphs": "2 repeated MetaGraphDef"},
    "MetaGraphDef": {
        "meta_info_def": "1 MetaGraphDef.MetaInfoDef",
        "graph_def": "2 GraphDef",
        "saver_def": "3 SaverDef",
        "collection_def": "4 map CollectionDef",
        "signature_def": "5 map SignatureDef",
        "asset_file_def": "6 repeated AssetFileDef",
    },
    "MetaGraphDef.MetaInfoDef": {"tags": "4 repeated string", "tensorflow_version": "5 string"},
    "SaverDef": {"filename_tensor_name": "1 string", "save_tensor_name": "2 string", "restore_op_name": "3 string"},
    "CollectionDef": {"node_list": "1 CollectionDef.NodeList"},
    "CollectionDef.NodeList": {"value": "1 repeated string"},
    "SignatureDef": {"inputs": "1 map TensorInfo", "outputs": "2 map TensorInfo", "method_name": "3 string"},
    "TensorInfo": {"name": "1 string", "dtype": "2 int32", "tensor_shape": "3 TensorShapeProto"},
    "AssetFileDef": {"tensor_info": "1 TensorInfo", "filename": "2 string"},
    "BundleHeaderProto": {"num_shards": "1 int32", "endianness": "2 int32"},
    "BundleEntryProto": {
        "dtype": "1 int32",
        "shape": "2 TensorShapeProto",
        "shard_id": "3 int32",
        "offset": "4 int64",
        "size": "5 int64",
        "crc32c": "6 fixed32",
        "slices": "7 repeated TensorSliceProto",
    },
    "TensorSliceProto": {},
}

DT_STRING = 7
# tensorflow/core/framework/types.proto: number -> (name, bytes an element; 0 where that is not fixed)
DTYPES: dict[int, tuple[str, int]] = {
    1: ("float32", 4),
    2: ("float64", 8),
    3: ("int32", 4),
    4: ("uint8", 1),
    5: ("int16", 2),
    6: ("int8", 1),
    7: ("string", 0),
    8: ("complex64", 8),
    9: ("int64", 8),
    10: ("bool", 1),
    11: ("qint8", 1),
    12: ("quint8", 1),
    13: ("qint32", 4),
    14: ("bfloat16", 2),
    15: ("qint16", 2),
    16: ("quint16", 2),
    17: ("uint16", 2),
    18: ("complex128", 16),
    19: ("float16", 2),
    20: ("resource", 0),
    21: ("variant", 0),
    22: ("uint32", 4),
    23: ("uint64", 8),
    24: ("float8_e5m2", 1),
    25: ("float8_e4m3fn", 1),
    29: ("int4", 0),
    30: ("uint4", 0),
}


@cache
def _classes() -> dict[str, Any]:
    """Message classes by name, in a descriptor pool of their own, so that TensorFlow may be in the same process."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="modeldrop/saved_model.proto", package="tensorflow", syntax="proto3")
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name.replace(".", "_"))
        for field, definition in fields.items():
            _add_field(message, field, definition)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.{name.replace('.', '_')}"))
        for name in FIELDS
    }


def _add_field(message: Any, name: str, definition: str) -> None:
    number, *label, kind = definition.split()
    field = message.field.add(name=name, number=int(number), label=3 if label else 1)
    if label == ["map"]:
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", "1 string")
        _add_field(entry, "value", f"2 {kind}")
        field.type, field.type_name = 11, f".tensorflow.{message.name}.{entry.name}"
    elif kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = 11, f".tensorflow.{kind.replace('.', '_')}"


# google.protobuf.FieldDescriptorProto.Type
_SCALARS = {"int64": 3, "int32": 5, "fixed32": 7, "bool": 8, "string": 9, "bytes": 12}


def message(name: str) -> Any:
    """The class of a message; constructing, ParseFromString and SerializeToString are protobuf's own."""
    return _classes()[name]
