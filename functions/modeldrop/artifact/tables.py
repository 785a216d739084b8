"""Where lookup tables that read a text file get its name from: it must be an asset of the model, by no detour.

TensorFlow Serving feeds an asset's path into the constant that AssetFileDef names. A path that is put together in the
graph, or comes from a request, would make a table read any file of the endpoint.
"""

from __future__ import annotations

from collections.abc import Iterable

from modeldrop.artifact import operations
from modeldrop.artifact.findings import Findings, shown
from modeldrop.artifact.graph import Graph, Node

# how many inputs come before those that become the function's arguments
_CALLS = {"PartitionedCall": 0, "StatefulPartitionedCall": 0, "If": 1, "StatelessIf": 1, "Case": 1, "StatelessCase": 1}
MAX_STEPS = 100_000
Demand = tuple[str, int]  # a function and the number of its argument that must be an asset


def check_tables(graph: Graph, assets: Iterable[str], findings: Findings) -> None:
    """Refuse every table whose file is not an asset. assets: names of the tensors that are fed with their paths."""
    known = {name.partition(":")[0] for name in assets}
    if not known:
        used = next((name for name in operations.TABLE_FILE_OPERATIONS if name in graph.operations), None)
        if used is not None:
            findings.add("OP_TABLE", f"{used} without an asset")
        return
    todo: list[Demand] = []
    for name, (operation, inputs, _) in graph.nodes.items():
        if operation in operations.TABLE_FILE_OPERATIONS and not _is_asset(graph, inputs, 1, known):
            _refuse(findings, operation, f"node {name}")
    for function, body in graph.functions.items():
        for name, (operation, inputs, _) in body.nodes.items():
            if operation in operations.TABLE_FILE_OPERATIONS:
                _demand(graph, (function, name, operation, inputs, 1), todo, findings)
    _follow(graph, known, todo, findings)


def _follow(graph: Graph, known: set[str], todo: list[Demand], findings: Findings) -> None:
    """Ask of every caller what a function needs of its argument."""
    seen: set[Demand] = set()
    while todo:
        demand = todo.pop()
        if demand in seen:
            continue
        seen.add(demand)
        if len(seen) > MAX_STEPS:
            raise findings.fatal("MODEL_TOO_LARGE", "tables reached through more calls than can be followed")
        function, argument = demand
        for name, (operation, inputs, calls) in graph.nodes.items():
            if function == operation or function in calls:
                at = _position(operation, function, argument)
                if at is None or not _is_asset(graph, inputs, at, known):
                    _refuse(findings, operation, f"node {name}")
        for caller, body in graph.functions.items():
            for name, (operation, inputs, calls) in body.nodes.items():
                if function == operation or function in calls:
                    at = _position(operation, function, argument)
                    _demand(graph, (caller, name, operation, inputs, at), todo, findings)


def _demand(
    graph: Graph,
    use: tuple[str, str, str, tuple[str, ...], int | None],
    todo: list[Demand],
    findings: Findings,
) -> None:
    function, name, operation, inputs, at = use
    argument = _argument(graph, function, inputs, at)
    if argument is None:
        _refuse(findings, operation, f"function {function}, node {name}")
    else:
        todo.append((function, argument))


def _position(operation: str, function: str, argument: int) -> int | None:
    offset = 0 if operation == function else _CALLS.get(operation)
    return None if offset is None else argument + offset


def _is_asset(graph: Graph, inputs: tuple[str, ...], at: int, known: set[str]) -> bool:
    """Whether an input of a main graph's node is an asset, perhaps through Identity or a variable that holds it."""
    for _ in range(len(graph.nodes)):
        if at >= len(inputs):
            return False
        source = inputs[at]
        if source in known:
            return True
        node: Node | None = graph.nodes.get(source)
        if node is None or node[0] not in ("Identity", "ReadVariableOp") or not node[1]:
            return False
        if node[0] == "ReadVariableOp":
            return _holds_asset(graph, node[1][0], known)
        inputs, at = node[1], 0
    return False


def _holds_asset(graph: Graph, handle: str, known: set[str]) -> bool:
    """Whether nothing but an asset is ever put into a variable (how TensorFlow 2 stores tf.saved_model.Asset)."""
    name = graph.variable_of.get(handle)
    if name is None or graph.variables[name] != 1:
        return False
    assigned = False
    for operation, inputs, _ in graph.nodes.values():
        if handle not in inputs:
            continue
        if operation == "AssignVariableOp" and inputs[0] == handle and len(inputs) > 1 and inputs[1] in known:
            assigned = True
        elif operation not in ("ReadVariableOp", "VarIsInitializedOp"):
            return False
    return assigned


def _argument(graph: Graph, function: str, inputs: tuple[str, ...], at: int | None) -> int | None:
    """The number of the function's argument that an input is, perhaps through Identity; None where it is none."""
    body = graph.functions[function]
    for _ in range(len(body.nodes) + 1):
        if at is None or at >= len(inputs):
            return None
        source = inputs[at].partition(":")[0]
        if source in body.arguments:
            return body.arguments.index(source)
        node = body.nodes.get(source)
        if node is None or node[0] != "Identity":
            return None
        inputs, at = node[1], 0
    return None


def _refuse(findings: Findings, operation: str, where: str) -> None:
    findings.add("OP_TABLE", f"the file's name that {shown(operation, 60)} is given is not an asset", where)
