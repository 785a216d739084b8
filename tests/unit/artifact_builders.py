"""Archives and minimal SavedModels for tests, good and hostile, made from protocol buffers without TensorFlow."""

from __future__ import annotations

import gzip
import io
import json
import math
import struct
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import crc32c

from modeldrop.artifact.gzip_stream import RATIO_FROM_BYTES
from modeldrop.artifact.messages import DT_STRING, message
from modeldrop.artifact.saved_model import MAX_PART_BYTES

DT_FLOAT = 1
PREDICT = "tensorflow/serving/predict"
SAVER = ("saver_filename:0", "save:0", "restore")
GOLDEN = {"request": {"instances": [[1.0, 2.0]]}, "response": {"predictions": [[3.0]]}}
MTIME = 1_700_000_000


def node(name: str, op: str, inputs: Iterable[str] = (), **attributes: Any) -> Any:
    """A NodeDef; attributes are bytes or text (s), functions by `call(name)`, tensors by `strings(...)`."""
    found = message("NodeDef")(name=name, op=op, input=list(inputs))
    for key, value in attributes.items():
        attribute = found.attr[key]
        if isinstance(value, str | bytes):
            attribute.s = value.encode() if isinstance(value, str) else value
        elif isinstance(value, int):
            attribute.type = value
        else:
            attribute.MergeFrom(value)
    return found


def call(function: str) -> Any:
    return message("AttrValue")(func=message("NameAttrList")(name=function))


def calls(*functions: str) -> Any:
    names = [message("NameAttrList")(name=function) for function in functions]
    return message("AttrValue")(list=message("AttrValue.ListValue")(func=names))


def strings(*values: bytes) -> Any:
    return message("AttrValue")(tensor=message("TensorProto")(dtype=DT_STRING, string_val=list(values)))


def packed_strings(*values: bytes) -> Any:
    """The other way TensorFlow stores strings: all lengths, then all bytes, in tensor_content."""
    lengths = b"".join(varint(len(value)) for value in values)
    shape = message("TensorShapeProto")(dim=[message("TensorShapeProto.Dim")(size=len(values))])
    tensor = message("TensorProto")(dtype=DT_STRING, tensor_shape=shape, tensor_content=lengths + b"".join(values))
    return message("AttrValue")(tensor=tensor)


def function(name: str, *nodes: Any, arguments: Sequence[str] = ()) -> Any:
    signature = message("OpDef")(name=name, input_arg=[message("OpDef.ArgDef")(name=one) for one in arguments])
    return message("FunctionDef")(signature=signature, node_def=list(nodes))


def graph_bytes(*nodes: Any) -> bytes:
    return bytes(message("GraphDef")(node=list(nodes)).SerializeToString())


def signature(
    inputs: Mapping[str, tuple[str, int, Sequence[int]]] | None = None,
    outputs: Mapping[str, tuple[str, int, Sequence[int]]] | None = None,
    method: str = PREDICT,
) -> Any:
    """A SignatureDef of {name: (tensor, dtype, shape)}; -1 is an open dimension."""
    found = message("SignatureDef")(method_name=method)
    for side, given in (
        (found.inputs, inputs if inputs is not None else {"x": ("x:0", DT_FLOAT, (-1, 2))}),
        (found.outputs, outputs if outputs is not None else {"y": ("y:0", DT_FLOAT, (-1, 1))}),
    ):
        for name, (tensor, dtype, shape) in given.items():
            side[name].name, side[name].dtype = tensor, dtype
            side[name].tensor_shape.dim.extend(message("TensorShapeProto.Dim")(size=size) for size in shape)
    return found


def good_nodes() -> list[Any]:
    """x -> y through a function, a variable, and TensorFlow 2's saver: two functions that only the SaverDef runs."""
    return [
        node("x", "Placeholder", dtype=DT_FLOAT),
        node("w", "VarHandleOp"),
        node("y", "StatefulPartitionedCall", ["x", "w"], f=call("__inference_predict_1")),
        node("saver_filename", "Placeholder"),
        node("save", "StatefulPartitionedCall", ["saver_filename", "w"], f=call("__inference_save_2")),
        node("restore", "StatefulPartitionedCall", ["saver_filename", "w"], f=call("__inference_restore_3")),
    ]


def good_functions() -> list[Any]:
    return [
        function("__inference_predict_1", node("r", "ReadVariableOp"), node("m", "MatMul", ["x", "r:value:0"])),
        function(
            "__inference_save_2", node("f", "ShardedFilename"), node("s", "SaveV2"), node("m", "MergeV2Checkpoints")
        ),
        function("__inference_restore_3", node("r", "RestoreV2"), node("a", "AssignVariableOp")),
    ]


def savedmodel_bytes(
    *,
    nodes: Iterable[Any] | None = None,
    extra_nodes: Iterable[Any] = (),
    functions: Iterable[Any] | None = None,
    extra_functions: Iterable[Any] = (),
    signatures: Mapping[str, Any] | None = None,
    tags: Iterable[str] = ("serve",),
    tensorflow_version: str = "2.20.0",
    min_consumer: int = 0,
    bad_consumers: Iterable[int] = (),
    saver: tuple[str, str, str] = SAVER,
    assets: Iterable[str] = (),
    asset_defs: Iterable[Any] = (),
    collections: Mapping[str, Sequence[str]] | None = None,
) -> bytes:
    """saved_model.pb with one meta graph; every part can be replaced."""
    graph = message("MetaGraphDef")()
    graph.meta_info_def.tags.extend(tags)
    graph.meta_info_def.tensorflow_version = tensorflow_version
    graph.graph_def.node.extend([*(good_nodes() if nodes is None else nodes), *extra_nodes])
    graph.graph_def.library.function.extend([*(good_functions() if functions is None else functions), *extra_functions])
    graph.graph_def.versions.producer = 2288
    graph.graph_def.versions.min_consumer = min_consumer
    graph.graph_def.versions.bad_consumers.extend(bad_consumers)
    saver_def = graph.saver_def
    saver_def.filename_tensor_name, saver_def.save_tensor_name, saver_def.restore_op_name = saver
    for name, found in ({"serving_default": signature()} if signatures is None else signatures).items():
        graph.signature_def[name].CopyFrom(found)
    graph.asset_file_def.extend(message("AssetFileDef")(filename=asset) for asset in assets)
    graph.asset_file_def.extend(asset_defs)
    for name, names in (collections or {}).items():
        graph.collection_def[name].node_list.value.extend(names)
    model = message("SavedModel")(saved_model_schema_version=1, meta_graphs=[graph])
    return bytes(model.SerializeToString(deterministic=True))


def variables_files(
    tensors: Mapping[str, tuple[int, Sequence[int], bytes]],
    *,
    shards: int = 1,
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """variables.index and its data files, tensors dealt out to the shards in turn.

    overrides: tensor name -> fields of its BundleEntryProto to write instead of the right ones.
    """
    data = [b""] * shards
    entries = {b"": message("BundleHeaderProto")(num_shards=shards).SerializeToString()}
    for number, (name, (dtype, shape, content)) in enumerate(sorted(tensors.items())):
        shard = number % shards
        entry = message("BundleEntryProto")(dtype=dtype, shard_id=shard, offset=len(data[shard]), size=len(content))
        entry.shape.dim.extend(message("TensorShapeProto.Dim")(size=size) for size in shape)
        entry.crc32c = _string_crc(content, shape) if dtype == DT_STRING else _masked_crc(content)
        for field, value in (overrides or {}).get(name, {}).items():
            setattr(entry, field, value)
        entries[name.encode()] = entry.SerializeToString()
        data[shard] += content
    files = {f"variables/variables.data-{n:05d}-of-{shards:05d}": content for n, content in enumerate(data)}
    return {**files, "variables/variables.index": table(entries)}


def table(entries: Mapping[bytes, bytes]) -> bytes:
    """A LevelDB table with one data block; keys share their beginnings as TensorFlow's do."""
    content, last = b"", b""
    for key, value in sorted(entries.items()):
        shared = next((n for n in range(min(len(key), len(last))) if key[n] != last[n]), min(len(key), len(last)))
        content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    found = block(content)
    data_handle = varint(0) + varint(len(found) - 5)
    index = block(varint(0) + varint(len(last)) + varint(len(data_handle)) + last + data_handle)
    meta = block(b"")
    meta_handle = varint(len(found)) + varint(len(meta) - 5)
    index_handle = varint(len(found) + len(meta)) + varint(len(index) - 5)
    footer = (meta_handle + index_handle).ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    return found + meta + index + footer


def block(entries: bytes, kind: int = 0) -> bytes:
    """A table's block with one restart point, at 0. kind: 0 not compressed, 1 Snappy."""
    content = entries + struct.pack("<II", 0, 1) + bytes([kind])
    return content + struct.pack("<I", _masked_crc(content))


def string_tensor(*values: bytes) -> bytes:
    """A string tensor as it lies in a data file: lengths, a checksum of them, bytes."""
    lengths = b"".join(struct.pack("<I", len(value)) for value in values)
    return b"".join(varint(len(value)) for value in values) + struct.pack("<I", _masked_crc(lengths)) + b"".join(values)


def _string_crc(content: bytes, shape: Sequence[int]) -> int:
    """Over the lengths as 4 bytes each, then the rest as it is; lengths of one byte only."""
    count = math.prod(shape)
    lengths = b"".join(struct.pack("<I", byte) for byte in content[:count])
    return masked(crc32c.crc32c(content[count:], crc32c.crc32c(lengths)))


def _masked_crc(content: bytes) -> int:
    return masked(crc32c.crc32c(content))


def masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def good_members(version: str = "1", golden: Iterable[Mapping[str, Any]] = (GOLDEN,), **model: Any) -> dict[str, bytes]:
    """Name -> content of an artifact that passes every check; keyword arguments go to savedmodel_bytes."""
    lines = "".join(json.dumps(request) + "\n" for request in golden)
    variables = variables_files({"w": (DT_FLOAT, (2, 1), struct.pack("<2f", 1, 1))})
    return {
        f"{version}/saved_model.pb": savedmodel_bytes(**model),
        **{f"{version}/{name}": content for name, content in variables.items()},
        f"{version}/assets.extra/golden.jsonl": lines.encode(),
    }


def header(name: str, *, size: int = 0, kind: bytes = b"0", link: str = "") -> bytes:
    """A raw ustar header with a right checksum, for names and types that tarfile would not write."""
    found = bytearray(512)
    encoded = name.encode()[:100]
    found[: len(encoded)] = encoded
    found[100:136] = b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % size
    found[136:148] = b"%011o\0" % MTIME
    found[156:157] = kind
    found[157 : 157 + len(link)] = link.encode()
    found[257:265] = b"ustar\x0000"
    return with_checksum(found)


def with_checksum(block: bytes) -> bytes:
    found = bytearray(block)
    found[148:156] = b" " * 8
    found[148:156] = b"%06o\0 " % sum(found)
    return bytes(found)


def entry(name: str, content: bytes = b"", *, kind: bytes = b"0", link: str = "") -> bytes:
    """One raw member: header, content, padding."""
    return header(name, size=len(content), kind=kind, link=link) + content + bytes(-len(content) % 512)


def tar_bytes(members: Mapping[str, bytes], *, extra: bytes = b"") -> bytes:
    """A pax tar with regular files, and `extra` raw entries before its end mark."""
    buffer = io.BytesIO()
    archive = tarfile.TarFile(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT)
    for name, content in members.items():
        info = tarfile.TarInfo(name)
        info.size, info.mtime = len(content), MTIME
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue() + extra + bytes(1024)  # not closed: close() would add its own end mark


def gz(content: bytes, level: int = 1) -> bytes:
    return gzip.compress(content, compresslevel=level, mtime=0)


def tar_gz(members: Mapping[str, bytes], *, extra: bytes = b"") -> bytes:
    """model.tar.gz with these files."""
    return gz(tar_bytes(members, extra=extra))


def good_artifact(**model: Any) -> bytes:
    """A model.tar.gz that passes every check; keyword arguments as in good_members."""
    return tar_gz(good_members(**model))


def with_entry(raw: bytes) -> bytes:
    """A good artifact with one more raw tar entry."""
    return tar_gz(good_members(), extra=raw)


def with_model(**model: Any) -> bytes:
    return good_artifact(**model)


def with_variables(files: Mapping[str, bytes]) -> bytes:
    kept = {name: content for name, content in good_members().items() if "/variables/" not in name}
    return tar_gz({**kept, **{f"1/{name}": content for name, content in files.items()}})


def with_files(files: Mapping[str, bytes]) -> bytes:
    return tar_gz({**good_members(), **files})


def _pax(records: bytes) -> bytes:
    return entry("x", records, kind=b"x")


def _gzip_archives() -> dict[str, bytes]:
    good = good_artifact()
    return {
        "EMPTY": b"",
        "GZIP_NOT_GZIP": b"not an archive, but a text\n",
        "GZIP_HEADER": good[:3] + b"\xe0" + good[4:],
        "GZIP_TRUNCATED": good[: len(good) // 2],
        "GZIP_CORRUPT": good[:-8] + bytes(8),
        "GZIP_TRAILING": good + b"more",
        "GZIP_MEMBERS": gz(b"") * 1200,
        "SIZE_RATIO": gz(tar_bytes({"1/zeros": bytes(2 * RATIO_FROM_BYTES)})),
    }


def _tar_archives() -> dict[str, bytes]:
    good = tar_bytes(good_members())
    return {
        "TAR_NOT_TAR": gz(b"text\n" * 1000),
        "TAR_TRUNCATED": gz(good[:-1024]),
        "TAR_TRAILING": gz(good + b"x" * 512),
        "TAR_HEADER": gz(entry("1/a") + b"\xff" * 512 + bytes(1024)),
        "TAR_LINK": with_entry(entry("1/link", kind=b"2", link="/etc/passwd")),
        "TAR_DEVICE": with_entry(entry("1/null", kind=b"3")),
        "TAR_TYPE": with_entry(entry("1/sparse", kind=b"S")),
        "TAR_ABSOLUTE": with_entry(entry("/etc/cron.d/x", b"x")),
        "TAR_ESCAPE": with_entry(entry("1/../../escape", b"x")),
        "TAR_NAME": with_entry(entry("1/a\\b", b"x")),
        "TAR_DUPLICATE": with_entry(entry("1/Saved_Model.pb", b"x")),
        "TAR_FILE_AS_DIRECTORY": with_entry(entry("1/saved_model.pb/x", b"x")),
        "TAR_PAX": with_entry(_pax(b"22 GNU.sparse.major=1\n") + entry("1/x")),
        "TAR_ENTRIES": gz(b"".join(entry(f"1/{n}") for n in range(10_001)) + bytes(1024)),
    }


def _layout_archives() -> dict[str, bytes]:
    model = savedmodel_bytes()
    return {
        "LAYOUT_NO_MODEL": tar_gz({"readme.txt": b"x"}),
        "LAYOUT_AT_ROOT": tar_gz({"saved_model.pb": model}),
        "LAYOUT_VERSION_NAME": tar_gz({"v1/saved_model.pb": model}),
        "LAYOUT_TEXT_MODEL": tar_gz({"1/saved_model.pbtxt": b"x"}),
        "LAYOUT_NOT_SAVED_MODEL": tar_gz({"model.keras": b"x"}),
        "LAYOUT_TWO_VERSIONS": tar_gz({**good_members("1"), **good_members("2")}),
        "LAYOUT_SEVERAL_MODELS": tar_gz({**good_members("a/1"), **good_members("b/1")}),
        "LAYOUT_STRAY_VERSION": with_files({"2": b"a file"}),
        "CODE_PICKED_UP": with_files({"1/assets/sitecustomize.py": b"import os"}),
        "CODE_REFUSED": with_files({"code/inference.py": b"def handler(data, context): ..."}),
    }


def _model_archives() -> dict[str, bytes]:
    hidden = graph_bytes(node("w", "WriteFile"))
    large = node("large", "Add", x=bytes(MAX_PART_BYTES))
    return {
        "MODEL_UNREADABLE": tar_gz({**good_members(), "1/saved_model.pb": b"\x12\xff\xff\xff\x7fnot protobuf"}),
        "MODEL_TOO_LARGE": gz(tar_bytes(good_members(extra_nodes=[large])), level=0),
        "MODEL_NO_SERVE_TAG": with_model(tags=["train"]),
        "MODEL_NO_SIGNATURE": with_model(signatures={"__saved_model_init_op": signature({}, {})}),
        "MODEL_SIGNATURE": with_model(signatures={"serving_default": signature({"x": ("gone:0", DT_FLOAT, ())})}),
        "MODEL_VERSION": with_model(min_consumer=99_999),
        "MODEL_ASSET": with_model(assets=["../../etc/passwd"]),
        "OP_FILES": with_model(extra_nodes=[node("c", "Const", value=strings(hidden))]),
        "OP_CODE": with_model(extra_nodes=[node("p", "EagerPyFunc")]),
        "OP_GRAPH": with_model(extra_nodes=[node("g", "DatasetFromGraph")]),
        "OP_NETWORK": with_model(extra_nodes=[node("d", "DebugIdentityV2")]),
        "OP_UNKNOWN": with_model(extra_nodes=[node("c", "MyCustomOp")]),
        "OP_CHECKPOINT": with_model(extra_functions=[function("__inference_predict_1", node("s", "SaveV2"))]),
        "OP_TABLE": with_model(extra_nodes=[node("t", "InitializeTableFromTextFileV2")]),
    }


def _variables_archives() -> dict[str, bytes]:
    eight = (DT_FLOAT, (2, 1), bytes(8))
    good = variables_files({"w": eight})
    return {
        "VARIABLES_MISSING": with_variables({}),
        "VARIABLES_INDEX": with_variables({**good, "variables/variables.index": b"not a table" * 10}),
        "VARIABLES_SHARDS": with_variables({**good, "variables/variables.data-00000-of-00001": bytes(9)}),
        "VARIABLES_TENSOR": with_variables(variables_files({"w": eight}, overrides={"w": {"size": 7}})),
        "VARIABLES_CHECKSUM": with_variables({**good, "variables/variables.data-00000-of-00001": bytes(7) + b"x"}),
        "WARMUP_INVALID": with_files({"1/assets.extra/tf_serving_warmup_requests": b"no TFRecord"}),
        "GOLDEN_INVALID": tar_gz({**good_members(), "1/assets.extra/golden.jsonl": b"{}\n"}),
    }


def hostile_artifacts() -> dict[str, bytes]:
    """Code -> an archive that is refused with it, whatever the policy's limits on size and code."""
    return {
        **_gzip_archives(),
        **_tar_archives(),
        **_layout_archives(),
        **_model_archives(),
        **_variables_archives(),
    }
