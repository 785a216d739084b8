"""One meta graph as the checks see it: every node visited once, operations judged, and what can reach a checkpoint."""

from __future__ import annotations

import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from modeldrop.artifact import operations
from modeldrop.artifact.findings import Findings, shown
from modeldrop.artifact.messages import DT_STRING, message
from modeldrop.artifact.wire_stream import BytesSource, UnreadableError, WireStream

# Python keeps about 300 bytes a node; the largest graphs seen (large language models, unrolled) have 200,000
MAX_NODES = 300_000
MAX_NESTED_GRAPHS = 8
LARGE_CONSTANT_BYTES = 64 * 1024
# the largest models have some thousands of functions, which may be called by their name
MAX_UNKNOWN = 20_000
# what a file's name may pass through on its way from an asset to a lookup table
PASSING = frozenset(["Identity", "IdentityN", *operations.TABLE_FILE_OPERATIONS])
MAX_NESTED_NODES = 100_000
MAX_PARSED_AT_ONCE_BYTES = 64 * 1024  # a parsed message can take fifty times its bytes


# (operation, inputs, functions it calls)
Node = tuple[str, tuple[str, ...], tuple[str, ...]]


@dataclass
class Function:
    """What a function's body does that matters: checkpoint operations in it, and functions it calls."""

    checkpoint_operations: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)
    # (operation, inputs, calls) of the nodes that a file's name can pass through
    nodes: dict[str, Node] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


@dataclass
class Graph:
    """Nodes of the main graph as (operation, inputs, calls), functions, and how often an operation is used."""

    nodes: dict[str, Node] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    operations: Counter[str] = field(default_factory=Counter)
    # operations that are not on the allowlist, and where they were met first: perhaps functions, which come later
    unknown: dict[str, str] = field(default_factory=dict)
    # how many nodes stand for the variable of a name: two could be given different values by the same name
    variables: Counter[str] = field(default_factory=Counter)
    variable_of: dict[str, str] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    constant_bytes: int = 0
    _count: int = 0

    def add_node(self, node: Any, findings: Findings) -> None:
        """Judge a node of the main graph and remember its edges."""
        calls = _judge(node, f"node {node.name}", self.operations, findings)
        self._note_unknown(node.op, f"node {node.name}")
        if node.op == "VarHandleOp":
            self.variable_of[node.name] = _variable_name(node)
            self.variables[_variable_name(node)] += 1
        inputs = tuple(self._name(_producer(name)) for name in node.input)
        self.nodes[self._name(node.name)] = (sys.intern(node.op), inputs, tuple(sorted(calls)))
        self._refuse_too_many(findings)

    def add_function_node(self, function: Function, node: Any, name: str, findings: Findings) -> None:
        """Judge a node in a function's body."""
        where = f"function {name}, node {node.name}"
        calls = _judge(node, where, self.operations, findings)
        self._note_unknown(node.op, where)
        if node.op == "VarHandleOp":
            self.variables[_variable_name(node)] += 1
        if calls or node.op in PASSING or node.op not in operations.allowed():
            function.nodes[node.name] = (sys.intern(node.op), tuple(node.input), tuple(sorted(calls)))
        function.calls |= calls
        function.calls.add(sys.intern(node.op))  # an operation may be a function's name
        if node.op in operations.CHECKPOINT_OPERATIONS:
            function.checkpoint_operations.add(node.op)
        self._refuse_too_many(findings)

    def count_constant(self, operation: str, size: int) -> None:
        """Add up the constants that matter for memory; size: of the node in bytes."""
        if operation == "Const" and size >= LARGE_CONSTANT_BYTES:
            self.constant_bytes += size

    def _note_unknown(self, operation: str, where: str) -> None:
        if operation not in operations.allowed() and len(self.unknown) < MAX_UNKNOWN:
            self.unknown.setdefault(operation, where)

    def check_known(self, findings: Findings) -> None:
        """Refuse operations that are neither on the allowlist nor functions of this graph, and not refused by name.

        Those that a plain TensorFlow lacks are told.
        """
        for operation, where in self.unknown.items():
            if operation in self.functions or operations.refusal(operation, {}) is not None:
                continue
            code, does = operations.reason(operation) or ("OP_UNKNOWN", "is no operation of the server")
            findings.add(code, f"{shown(operation, 60) or 'no name'} {does}", where)
        for operation in sorted(operations.linked() & self.operations.keys()):
            findings.add("OP_LINKED", f"{operation} is tensorflow-text's")

    def _name(self, name: str) -> str:
        return self._names.setdefault(name, name)

    def _refuse_too_many(self, findings: Findings) -> None:
        self._count += 1
        if self._count > MAX_NODES:
            raise findings.fatal("MODEL_TOO_LARGE", f"the graph has more than {MAX_NODES:,} nodes", "saved_model.pb")

    def reachable(self, roots: Iterable[str]) -> set[str]:
        """Names of the nodes that running the roots runs."""
        found: set[str] = set()
        todo = [_producer(root) for root in roots]
        while todo:
            name = todo.pop()
            if name in self.nodes and name not in found:
                found.add(name)
                todo.extend(self.nodes[name][1])
        return found

    def _checkpoint_operations(self) -> Iterator[tuple[str, str]]:
        """(node, operation) for every checkpoint operation that a node runs, itself or in functions."""
        inside = self._checkpoint_functions()
        for name, (operation, _, calls) in self.nodes.items():
            if operation in operations.CHECKPOINT_OPERATIONS:
                yield name, operation
            for call in {operation, *calls} & inside.keys():
                yield from ((name, inner) for inner in sorted(inside[call]))

    def _checkpoint_functions(self) -> dict[str, set[str]]:
        """Functions that run checkpoint operations, themselves or in what they call, and which."""
        callers: dict[str, set[str]] = defaultdict(set)
        for name, function in self.functions.items():
            for call in function.calls & self.functions.keys():
                callers[call].add(name)
        found = {name: set(f.checkpoint_operations) for name, f in self.functions.items() if f.checkpoint_operations}
        todo = list(found)
        while todo:
            name = todo.pop()
            for caller in callers[name]:
                known = found.setdefault(caller, set())
                if not found[name] <= known:
                    known |= found[name]
                    todo.append(caller)
        return found

    def check_checkpoints(
        self, *, public: Iterable[str], save: Iterable[str], restore: Iterable[str], findings: Findings
    ) -> None:
        """Checkpoint operations may run in saving and in restoring only, never for a request or at load.

        public: what signatures and initialisers run. TF Serving runs restore at load, so nothing may be saved there.
        """
        touching = list(self._checkpoint_operations())
        if not touching:
            return
        by_public, by_save, by_restore = self.reachable(public), self.reachable(save), self.reachable(restore)
        for name, operation in touching:
            if name in by_public:
                reason = "runs for a request or at load"
            elif name in by_restore:
                # ShardedFilename only joins text
                if operation not in operations.SAVE_OPERATIONS or operation.startswith("Sharded"):
                    continue
                reason = "writes while variables are restored"
            elif name in by_save:
                continue
            else:
                reason = "does not belong to the SaverDef"
            findings.add("OP_CHECKPOINT", f"{operation} {reason}", f"node {name}")


def _variable_name(node: Any) -> str:
    return (
        str(node.attr["shared_name"].s or node.name.encode()) if "shared_name" in node.attr else str(node.name.encode())
    )


def _producer(tensor: str) -> str:
    """`^name`, `name:1` and `name` all come from node `name`."""
    return tensor.removeprefix("^").partition(":")[0]


def _judge(node: Any, where: str, used: Counter[str], findings: Findings, depth: int = 0) -> set[str]:
    """Note a denied operation and look into every graph hidden in the node's data; the functions it calls."""
    used[sys.intern(node.op)] += 1
    refused = operations.refusal(node.op, node.attr)
    if refused is not None:
        code, does = refused
        findings.add(code, f"{shown(node.op, 60)} {does}", where)
    calls: set[str] = set()
    for text in _texts(node.attr, calls, 0):
        _judge_hidden(text, where, used, findings, depth)
    return calls


def _texts(attributes: Any, calls: set[str], depth: int) -> Iterator[bytes]:
    """Every string in the attributes, which may be a serialized graph; names of functions go to `calls`."""
    if depth > MAX_NESTED_GRAPHS:
        raise UnreadableError("attributes nested too deeply")
    for value in attributes.values():
        lists = value.list
        yield value.s
        yield from lists.s
        for tensor in (value.tensor, *lists.tensor):
            if tensor.dtype == DT_STRING:
                yield from tensor.string_val
                yield from _packed_strings(tensor)
        for function in (value.func, *lists.func):
            if function.name:
                calls.add(function.name)
                yield from _texts(function.attr, calls, depth + 1)


def _packed_strings(tensor: Any) -> Iterator[bytes]:
    """Strings in tensor_content: all lengths as varints, then all bytes (TensorFlow's EncodeStringList)."""
    content = tensor.tensor_content
    if not content:
        return
    lengths, at = [], 0
    for _ in range(min(math.prod(dim.size for dim in tensor.tensor_shape.dim), len(content))):
        value = shift = 0
        while True:
            if at >= len(content) or shift > 28:
                raise UnreadableError("a string constant has lengths that cannot be read")
            byte = content[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(value)
    for length in lengths:
        yield content[at : at + length]
        at += length


def _judge_hidden(text: bytes, where: str, used: Counter[str], findings: Findings, depth: int) -> None:
    """Judge the nodes of a graph that is stored as data; text that is no graph has no effect."""
    inside = f"graph in {where}"
    for number, node in enumerate(_hidden_nodes(text)):
        if depth >= MAX_NESTED_GRAPHS or number >= MAX_NESTED_NODES:
            raise findings.fatal("OP_GRAPH", "graphs hidden in graphs, deeper or larger than can be followed", inside)
        _judge(node, inside, used, findings, depth + 1)
        if node.op in operations.CHECKPOINT_OPERATIONS:
            findings.add("OP_CHECKPOINT", f"{node.op} in a graph that is stored as data", inside)


def _hidden_nodes(text: bytes) -> Iterator[Any]:
    """Nodes of a serialized GraphDef, none where the text is not one; a large one is read node by node."""
    if len(text) < 8:
        return
    from google.protobuf.message import DecodeError

    try:
        if len(text) > MAX_PARSED_AT_ONCE_BYTES:
            yield from _walk_nodes(text)
            return
        graph = message("GraphDef")()
        graph.ParseFromString(text)
    except (DecodeError, UnreadableError, UnicodeDecodeError, RecursionError):
        return
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    if all(node.op for node in nodes):
        yield from nodes


def _walk_nodes(text: bytes) -> Iterator[Any]:
    """GraphDef.node, and FunctionDef.node_def of every function in GraphDef.library; up to one without operation."""
    stream = WireStream(BytesSource(text))
    for number, size in stream.fields(len(text)):
        if number == 1:
            sizes = iter([size])
        elif number == 2:
            functions = (length for inner, length in stream.fields(size) if inner == 1)
            sizes = (n for length in functions for inner, n in stream.fields(length) if inner == 3)
        else:
            continue
        for node_size in sizes:
            node = message("NodeDef")()
            node.ParseFromString(stream.take(node_size))
            if not node.op:
                return
            yield node
