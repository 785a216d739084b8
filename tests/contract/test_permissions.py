"""A function's role allows what its code can call, and little else.

The code is read, not run: from a handler, every function of ours that it names is followed, and the calls to boto3
clients on the way are collected. A method is followed by its name alone, so the answer errs on the side of too much.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import boto3
import pytest

from scripts.translated import ROOT, translated

PACKAGE = ROOT / "functions" / "modeldrop"
HANDLERS = sorted(path.stem for path in (PACKAGE / "handlers").glob("*.py") if "def handler(" in path.read_text())
# the client's name in aws/clients.py -> IAM's prefix, where they differ
PREFIX = {
    "sagemaker_runtime": "sagemaker",
    "stepfunctions": "states",
    "application_autoscaling": "application-autoscaling",
    "service_quotas": "servicequotas",
}
# calls whose IAM action has another name (Service Authorization Reference, Amazon S3)
ACTIONS = {
    ("s3", "head_object"): {"s3:GetObject"},
    ("s3", "list_object_versions"): {"s3:ListBucketVersions"},
    ("s3", "list_objects_v2"): {"s3:ListBucket"},
    ("s3", "copy"): {"s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"},
}
# allowed without a call of that name, and why
SIDE_RIGHTS = {
    "iam:PassRole": "CreateModel is given a role",
    "iam:CreateServiceLinkedRole": "the first RegisterScalableTarget of an account makes it",
    "sagemaker:AddTags": "creating with tags asks for it",
    "cloudwatch:TagResource": "creating with tags asks for it",
    "application-autoscaling:TagResource": "creating with tags asks for it",
    "sagemaker:UpdateEndpointWeightsAndCapacities": "asked of whoever registers a variant",
    "sagemaker:DescribeEndpoint": "asked of whoever registers a variant",
    "sagemaker:DescribeEndpointConfig": "asked of whoever registers a variant, and by CreateEndpoint",
    "cloudwatch:PutMetricAlarm": "target tracking makes its alarms for whoever puts the policy",
    "cloudwatch:DeleteAlarms": "target tracking deletes its alarms for whoever deletes the policy",
    "cloudwatch:DescribeAlarms": "UpdateEndpoint with rollback alarms asks the caller for it",
    "s3:GetObjectVersion": "GetObject of a pinned version",
    "s3:ListBucket": "a missing object answers 404, not 403",
    "sqs:SendMessage": "dead letters of an asynchronous invocation",
}


class Symbol(NamedTuple):
    """A function or a class's method: module, then `name` or `Class.name`."""

    module: str
    name: str


class Call(NamedTuple):
    """A call to a boto3 client: name of the client in aws/clients.py, method."""

    client: str
    method: str


@cache
def tree(module: str) -> ast.Module:
    """Parse one module of the package."""
    path = ROOT / "functions" / Path(*module.split("."))
    return ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())


@cache
def names(module: str) -> dict[str, Symbol | str]:
    """What a module's names mean: a symbol of ours, or a module of ours."""
    found: dict[str, Symbol | str] = {}
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("modeldrop"):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                path = ROOT / "functions" / Path(*full.split("."))
                is_module = path.is_dir() or path.with_suffix(".py").exists()
                found[alias.asname or alias.name] = full if is_module else Symbol(node.module, alias.name)
    for top in tree(module).body:
        if isinstance(top, ast.FunctionDef | ast.ClassDef):
            found[top.name] = Symbol(module, top.name)
    return found


@cache
def methods() -> dict[str, list[Symbol]]:
    """Every method of a class of ours, by its name alone."""
    found = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(ROOT / "functions").with_suffix("").parts).removesuffix(".__init__")
        for top in tree(module).body:
            if isinstance(top, ast.ClassDef):
                for node in top.body:
                    if isinstance(node, ast.FunctionDef):
                        found[node.name].append(Symbol(module, f"{top.name}.{node.name}"))
    return found


@cache
def body(symbol: Symbol) -> ast.AST | None:
    """The definition of a symbol; None for a constant."""
    nodes: list[ast.stmt] = tree(symbol.module).body
    for part in symbol.name.split("."):
        found = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part]
        if not found:
            return None
        nodes = found[0].body
    return found[0]


def client_of(node: ast.expr, bound: dict[str, str]) -> str | None:
    """The client an expression is: `clients.s3()`, a name bound to one, or the table's own."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="clients"), attr=name)):
            return name
        case ast.Name(id=name):
            return bound.get(name)
        case ast.Attribute(value=ast.Name(id="self"), attr="_dynamodb"):
            return "dynamodb"
    return None


def called(attribute: str, client: str, definition: ast.AST) -> set[str]:
    """The client's methods that one use of it stands for; a paginator's are the operations the function spells out."""
    if attribute == "get_paginator":
        texts = {node.value for node in ast.walk(definition) if isinstance(node, ast.Constant)}
        return texts & set(operations(client))
    return {attribute} - {"exceptions"}


def read(symbol: Symbol) -> tuple[set[Symbol], set[Call]]:
    """What one function names, and the client calls in it."""
    definition = body(symbol)
    if definition is None or isinstance(definition, ast.ClassDef):
        return set(), set()
    known, named, calls, bound = names(symbol.module), set(), set(), {}
    for node in ast.walk(definition):
        if isinstance(node, ast.Assign) and (client := client_of(node.value, {})):
            bound |= {target.id: client for target in node.targets if isinstance(target, ast.Name)}
    for node in ast.walk(definition):
        if isinstance(node, ast.Name) and isinstance(known.get(node.id), Symbol):
            named.add(known[node.id])
        if isinstance(node, ast.Attribute):
            if client := client_of(node.value, bound):
                calls.update(Call(client, method) for method in called(node.attr, client, definition))
            elif isinstance(node.value, ast.Name) and isinstance(module := known.get(node.value.id), str):
                named.add(Symbol(module, node.attr))
            else:
                named.update(methods().get(node.attr, []))
    return named, calls


def calls_of(handler: str) -> set[Call]:
    """Every client call that can be reached from a handler."""
    seen: set[Symbol] = set()
    todo, calls = [Symbol(f"modeldrop.handlers.{handler}", "handler")], set()
    while todo:
        symbol = todo.pop()
        if symbol not in seen:
            seen.add(symbol)
            named, found = read(symbol)
            todo.extend(named)
            calls |= found
    return calls


@cache
def operations(client: str) -> dict[str, str]:
    """Method -> API operation of one service."""
    session = boto3.Session("none", "none", region_name="us-east-1")
    return dict(session.client(client.replace("_", "-")).meta.method_to_api_mapping)


def actions(calls: set[Call]) -> set[str]:
    """The IAM actions that client calls need."""
    needed: set[str] = set()
    for call in calls:
        named = f"{PREFIX.get(call.client, call.client)}:{operations(call.client).get(call.method)}"
        needed |= ACTIONS.get((call.client, call.method), {named})
    return needed


@cache
def roles() -> dict[str, set[str]]:
    """Allowed actions by role."""
    found: dict[str, set[str]] = {}
    for name, resource in translated()["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            found[name] = set(allowed(resource["Properties"].get("Policies", [])))
    return found


def allowed(policies: list[dict]) -> Iterator[str]:
    """Every action that policies allow."""
    for policy in policies:
        for statement in policy["PolicyDocument"]["Statement"]:
            statement = statement["Fn::If"][1] if "Fn::If" in statement else statement
            if statement["Effect"] == "Allow":
                yield from [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]


def role_of(handler: str) -> set[str]:
    """The actions that a handler's role allows."""
    return roles()["".join(part.capitalize() for part in handler.split("_")) + "FunctionRole"]


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_role_allows_every_call_its_function_can_make(handler):
    assert actions(calls_of(handler)) - role_of(handler) == set()


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_role_allows_nothing_its_function_never_calls(handler):
    assert role_of(handler) - actions(calls_of(handler)) - set(SIDE_RIGHTS) == set()


def test_the_state_machine_may_do_what_its_states_call(states):
    resources = {state["Resource"] for state in states.values() if state["Type"] == "Task"}
    assert resources == {
        "arn:aws:states:::lambda:invoke",
        "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "arn:aws:states:::dynamodb:updateItem",
    }
    assert {"lambda:InvokeFunction", "dynamodb:UpdateItem"} <= roles()["ReleaseStateMachineRole"]
