"""saved_model.pb, read forward: meta graphs, serving signatures, versions, assets, and every node of every graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from modeldrop.artifact import operations
from modeldrop.artifact.findings import Findings, shown
from modeldrop.artifact.graph import Function, Graph
from modeldrop.artifact.messages import DT_STRING, DTYPES, message
from modeldrop.artifact.tables import check_tables
from modeldrop.artifact.tar_stream import Member
from modeldrop.artifact.wire_stream import BytesSource, UnreadableError, WireStream, encoded_field

MAX_MODEL_BYTES = 512 * 1024 * 1024
# what is held at once; a constant with numbers may be larger, it is passed over
MAX_PART_BYTES = 4 * 1024 * 1024
MAX_SIGNATURES = 200
# of one signature's outputs, which the release record keeps
MAX_OUTPUT_NAMES = 32_768
# TensorFlow 2.20, the version that serves: tensorflow/core/public/version.h and release_version.h
SERVING_TENSORFLOW = (2, 20)
SERVING_GRAPH_VERSION = 2288
PREDICT = "tensorflow/serving/predict"
# not callable: initialisers that TensorFlow stores as signatures, and the collections older models use
PSEUDO_SIGNATURES = ("__saved_model_init_op", "__saved_model_train_op")
INITIALISER_COLLECTIONS = ("saved_model_main_op", "legacy_init_op", "saved_model_train_op")


@dataclass
class MetaGraph:
    """One meta graph while it is read."""

    info: Any
    saver: Any
    versions: Any
    graph: Graph = field(default_factory=Graph)
    signatures: dict[str, Any] = field(default_factory=dict)
    initialisers: list[str] = field(default_factory=list)
    assets: list[str] = field(default_factory=list)
    asset_tensors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SavedModel:
    """What the rest of the inspection needs of saved_model.pb; the meta graph is the one with the tag `serve`."""

    tensorflow_version: str
    signatures: dict[str, dict[str, Any]]
    assets: tuple[str, ...]
    has_variables: bool
    constant_bytes: int = 0


def read_saved_model(member: Member, findings: Findings) -> SavedModel | None:
    """Read and judge the whole file; None, with findings, when nothing can be said of the model."""
    from google.protobuf.message import DecodeError

    if member.size > MAX_MODEL_BYTES:
        findings.add("MODEL_TOO_LARGE", f"{member.size:,} bytes; allowed: {MAX_MODEL_BYTES:,}", member.path)
        return None
    try:
        graphs = _read(member, findings)
    except (UnreadableError, DecodeError, UnicodeDecodeError, RecursionError) as error:
        findings.add("MODEL_UNREADABLE", f"not a SavedModel: {shown(str(error))}", member.path)
        return None
    for graph in graphs:
        _check_operations(graph, findings)
    serving = [graph for graph in graphs if "serve" in graph.info.tags]
    if not serving:
        tags = sorted({tag for graph in graphs for tag in graph.info.tags})
        findings.add("MODEL_NO_SERVE_TAG", f"tags found: {shown(', '.join(tags)) or 'none'}", member.path)
        return None
    if len(serving) > 1:
        findings.add("MODEL_NO_SERVE_TAG", f"{len(serving)} graphs have the tag serve, TF Serving takes one")
        return None
    _check_version(serving[0], findings)
    return SavedModel(
        tensorflow_version=shown(serving[0].info.tensorflow_version, 40),
        signatures=_signatures(serving[0], findings),
        assets=tuple(serving[0].assets),
        has_variables=any(name in serving[0].graph.operations for name in operations.VARIABLE_OPERATIONS),
        constant_bytes=serving[0].graph.constant_bytes,
    )


def _read(member: Member, findings: Findings) -> list[MetaGraph]:
    stream = WireStream(member)
    graphs = []
    for number, length in stream.fields(member.size):
        if number == 2:
            graphs.append(_read_meta_graph(stream, length, findings))
    if not graphs:
        raise UnreadableError("it holds no graph")
    return graphs


def _read_meta_graph(stream: WireStream, length: int, findings: Findings) -> MetaGraph:
    """Field numbers: MetaGraphDef in messages.py. A field that comes twice is merged, as protocol buffers do."""
    found = MetaGraph(message("MetaGraphDef.MetaInfoDef")(), message("SaverDef")(), message("VersionDef")())
    old_assets: list[Any] = []
    for number, size in stream.fields(length):
        if number == 1:
            found.info.MergeFromString(_part(stream, size, findings))
        elif number == 2:
            _read_graph(stream, size, found, findings)
        elif number == 3:
            found.saver.MergeFromString(_part(stream, size, findings))
        elif number in (4, 5, 6):
            part = _part(stream, size, findings)
            _read_entry(encoded_field(number, part), found)
            if number == 4:
                old_assets.extend(_old_assets(part))
    if not found.assets:  # the loader's rule
        found.assets = [asset.filename for asset in old_assets]
        found.asset_tensors = [asset.tensor_info.name for asset in old_assets]
    return found


def _old_assets(entry: bytes) -> list[Any]:
    """AssetFileDefs of TensorFlow 1: packed in Any messages of a collection, {1: name, 2: {5: {1: [{2: asset}]}}}."""
    parts = _fields(entry)
    if (1, b"saved_model_assets") not in parts:
        return []
    lists = [field for number, held in parts if number == 2 for field in _fields(held)]
    anys = [field for number, held in lists if number == 5 for field in _fields(held)]
    assets = [field for number, held in anys if number == 1 for field in _fields(held)]
    return [message("AssetFileDef").FromString(held) for number, held in assets if number == 2]


def _fields(content: bytes) -> list[tuple[int, bytes]]:
    stream = WireStream(BytesSource(content))
    return [(number, stream.take(size)) for number, size in stream.fields(len(content))]


def _read_entry(encoded: bytes, found: MetaGraph) -> None:
    """A collection, a signature or an asset."""
    entry = message("MetaGraphDef")()
    entry.ParseFromString(encoded)
    for name, collection in entry.collection_def.items():
        if name in INITIALISER_COLLECTIONS:
            found.initialisers.extend(collection.node_list.value)
    for name, signature in entry.signature_def.items():
        found.signatures[name] = signature
        if len(found.signatures) > MAX_SIGNATURES:
            raise UnreadableError(f"more than {MAX_SIGNATURES} signatures")
    found.assets.extend(asset.filename for asset in entry.asset_file_def)
    found.asset_tensors.extend(asset.tensor_info.name for asset in entry.asset_file_def)


def _read_graph(stream: WireStream, length: int, found: MetaGraph, findings: Findings) -> None:
    for number, size in stream.fields(length):
        if number == 1:
            node = _read_node(stream, size, findings)
            found.graph.count_constant(node.op, size)
            found.graph.add_node(node, findings)
        elif number == 2:
            for inner, function_size in stream.fields(size):
                if inner == 1:
                    _read_function(stream, function_size, found.graph, findings)
        elif number == 4:
            found.versions.MergeFromString(_part(stream, size, findings))


def _read_function(stream: WireStream, length: int, graph: Graph, findings: Findings) -> None:
    """A function's name comes before its nodes in what TensorFlow writes; another order only costs the name."""
    signature, function = message("OpDef")(), Function()
    for number, size in stream.fields(length):
        if number == 1:
            signature.MergeFromString(_part(stream, size, findings))
        elif number == 3:
            node = _read_node(stream, size, findings)
            graph.count_constant(node.op, size)
            graph.add_function_node(function, node, signature.name or "without a name", findings)
    known = graph.functions.setdefault(signature.name, function)
    known.calls |= function.calls
    known.checkpoint_operations |= function.checkpoint_operations
    known.nodes |= function.nodes
    known.arguments = tuple(argument.name for argument in signature.input_arg)


def _read_node(stream: WireStream, length: int, findings: Findings) -> Any:
    """A NodeDef; of a very large one, the large fields of a numeric constant are passed over."""
    node = message("NodeDef")()
    if length <= MAX_PART_BYTES:
        node.ParseFromString(stream.take(length))
        return node
    kept: list[bytes] = []
    total = 0
    for number, size in stream.fields(length):
        if size <= MAX_PART_BYTES // 4:
            total += size
            if total > MAX_PART_BYTES:
                raise findings.fatal("MODEL_TOO_LARGE", f"a node has more than {MAX_PART_BYTES:,} bytes")
            kept.append(encoded_field(number, stream.take(size)))
    node.ParseFromString(b"".join(kept))
    if node.op != "Const" or node.attr["dtype"].type in (0, DT_STRING):
        what = f"a {shown(node.op, 60)} node of {length:,} bytes; allowed: {MAX_PART_BYTES:,}, numeric constants more"
        raise findings.fatal("MODEL_TOO_LARGE", what, f"node {node.name}")
    return node


def _part(stream: WireStream, length: int, findings: Findings) -> bytes:
    if length > MAX_PART_BYTES:
        raise findings.fatal("MODEL_TOO_LARGE", f"a part of {length:,} bytes; allowed: {MAX_PART_BYTES:,}")
    return stream.take(length)


def _check_operations(found: MetaGraph, findings: Findings) -> None:
    outputs = (_tensor_names(signature.outputs.values()) for signature in found.signatures.values())
    found.graph.check_checkpoints(
        public=[*found.initialisers, *(name for names in outputs for name in names)],
        save=[found.saver.save_tensor_name],
        restore=[found.saver.restore_op_name],
        findings=findings,
    )
    found.graph.check_known(findings)
    check_tables(found.graph, found.asset_tensors, findings)


def _tensor_names(infos: Any) -> Iterator[str]:
    return (info.name for info in infos if info.name)


def _check_version(found: MetaGraph, findings: Findings) -> None:
    versions = found.versions
    if versions.min_consumer > SERVING_GRAPH_VERSION or SERVING_GRAPH_VERSION in versions.bad_consumers:
        what = f"the graph wants a consumer of version {versions.min_consumer} or newer, serving has"
        findings.add("MODEL_VERSION", f"{what} {SERVING_GRAPH_VERSION}")
    made_by = _minor(found.info.tensorflow_version)
    serving = ".".join(map(str, SERVING_TENSORFLOW))
    if made_by is not None and made_by > SERVING_TENSORFLOW:
        what = f"written by TensorFlow {shown(found.info.tensorflow_version, 40)}, served by {serving}"
        findings.add("MODEL_NEWER_TENSORFLOW", what)


def _minor(version: str) -> tuple[int, int] | None:
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0]
    known = major.isascii() and major.isdigit() and minor.isascii() and minor.isdigit()
    return (int(major), int(minor)) if known and len(version) < 40 else None


def _signatures(found: MetaGraph, findings: Findings) -> dict[str, dict[str, Any]]:
    described: dict[str, dict[str, Any]] = {}
    for name, signature in sorted(found.signatures.items()):
        if name in PSEUDO_SIGNATURES:
            continue
        described[shown(name)] = {
            "method": shown(signature.method_name),
            "inputs": _described(signature.inputs),
            "outputs": _described(signature.outputs),
        }
        tensors = [*_tensor_names(signature.inputs.values()), *_tensor_names(signature.outputs.values())]
        missing = next((tensor for tensor in tensors if tensor.partition(":")[0] not in found.graph.nodes), None)
        if missing is not None:
            findings.add("MODEL_SIGNATURE", f"tensor {shown(missing)} is not in the graph", f"signature {name}")
        elif (characters := sum(map(len, signature.outputs))) > MAX_OUTPUT_NAMES:
            what = f"its outputs' names have {characters:,} characters; allowed: {MAX_OUTPUT_NAMES:,}"
            findings.add("MODEL_SIGNATURE", what, f"signature {name}")
        elif not signature.outputs:
            findings.add("MODEL_SIGNATURE", "no output", f"signature {name}")
        elif signature.method_name != PREDICT:
            findings.add(
                "MODEL_METHOD", f"its method is {shown(signature.method_name) or 'empty'}", f"signature {name}"
            )
    if not described:
        findings.add("MODEL_NO_SIGNATURE", "no serving signature")
    elif "serving_default" not in described:
        findings.add("MODEL_NO_DEFAULT_SIGNATURE", f"signatures: {', '.join(described)}"[:200])
    return described


def _described(infos: Any) -> dict[str, dict[str, Any]]:
    def shape(info: Any) -> list[int | None] | None:
        if info.tensor_shape.unknown_rank:
            return None
        return [None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim]

    def dtype(number: int) -> str:
        return DTYPES.get(number, (f"dtype {number}", 0))[0]

    return {shown(name): {"dtype": dtype(info.dtype), "shape": shape(info)} for name, info in sorted(infos.items())}
