"""What a handler can reach, read from the code and not run: functions of ours, client calls, settings.

From a handler, every function of ours that it names is followed. A parameter is a client where its type says so. A
method is followed by its name alone, so the answer errs on the side of too much.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import boto3

from scripts.translated import ROOT

PACKAGE = ROOT / "functions" / "modeldrop"
HANDLERS = sorted(path.stem for path in (PACKAGE / "handlers").glob("*.py") if "def handler(" in path.read_text())


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
    """The client an expression is: `clients.s3()`, also where a caller gave none, a name bound to one, the table's."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="clients"), attr=name)):
            return name
        case ast.BoolOp(op=ast.Or(), values=[_, own]):
            return client_of(own, bound)
        case ast.Name(id=name):
            return bound.get(name)
        case ast.Attribute(value=ast.Name(id="self"), attr="_dynamodb"):
            return "dynamodb"
    return None


@cache
def client_types(module: str) -> dict[str, str]:
    """The client that a type of boto3-stubs is of, for each that a module imports."""
    imports = [node for node in ast.walk(tree(module)) if isinstance(node, ast.ImportFrom) and node.module]
    stubs = [node for node in imports if node.module.startswith("mypy_boto3_")]
    return {alias.name: node.module.removeprefix("mypy_boto3_") for node in stubs for alias in node.names}


def given_clients(symbol: Symbol, definition: ast.AST) -> dict[str, str]:
    """The parameters of a function, and of the functions in it, that are clients."""
    types = client_types(symbol.module)
    parameters = [node for node in ast.walk(definition) if isinstance(node, ast.arg) and node.annotation]
    named = {one.arg: ast.unparse(one.annotation).removesuffix(" | None") for one in parameters}
    return {parameter: types[kind] for parameter, kind in named.items() if kind in types}


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
    known, named, calls, bound = names(symbol.module), set(), set(), given_clients(symbol, definition)
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


@cache
def reached(handler: str) -> frozenset[Symbol]:
    """Every function of ours that can be reached from a handler."""
    # the decorator of every handler is named outside its body
    seen: set[Symbol] = set()
    todo = [Symbol(f"modeldrop.handlers.{handler}", "handler"), Symbol("modeldrop.entry", "entry")]
    assert all(map(body, todo)), "a symbol that is not there would be followed nowhere, without a word"
    while todo:
        symbol = todo.pop()
        if symbol not in seen:
            seen.add(symbol)
            todo.extend(read(symbol)[0])
    return frozenset(seen)


def calls_of(handler: str) -> set[Call]:
    """Every client call that can be reached from a handler."""
    return {call for symbol in reached(handler) for call in read(symbol)[1]}


def settings_of(handler: str) -> set[str]:
    """Every setting that can be read on the way from a handler: of `settings()`, or of a parameter that is Settings."""
    return {name for symbol in reached(handler) for name in settings_in(body(symbol))}


def settings_in(definition: ast.AST | None) -> Iterator[str]:
    """The settings that one function reads."""
    if not isinstance(definition, ast.FunctionDef):
        return
    given = {
        one.arg
        for one in (*definition.args.args, *definition.args.kwonlyargs)
        if isinstance(one.annotation, ast.Name) and one.annotation.id == "Settings"
    }
    for node in ast.walk(definition):
        match node:
            case ast.Attribute(value=ast.Call(func=ast.Name(id="settings")), attr=name):
                yield name
            case ast.Attribute(value=ast.Name(id=parameter), attr=name) if parameter in given:
                yield name


@cache
def operations(client: str) -> dict[str, str]:
    """Method -> API operation of one service."""
    session = boto3.Session("none", "none", region_name="us-east-1")
    return dict(session.client(client.replace("_", "-")).meta.method_to_api_mapping)
