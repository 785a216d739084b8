"""No program but policy/strategies.py tells one strategy from another: a new one is a class there, and its section."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from modeldrop.policy.schema import schema
from modeldrop.policy.strategies import STRATEGIES, STRATEGY_NAMES
from scripts.translated import ROOT

HOME = ROOT / "functions" / "modeldrop" / "policy" / "strategies.py"
# the schema's section of each strategy is the second place that a new one needs
SECTIONS = ROOT / "functions" / "modeldrop" / "policy" / "schema.py"
CLASSES = frozenset(kind.__name__ for kind in STRATEGIES)
PROGRAMS = sorted(
    path for room in ("functions", "cli") for path in (ROOT / room).rglob("*.py") if path not in (HOME, SECTIONS)
)


def is_name(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and node.value in STRATEGY_NAMES


def switches(source: str) -> Iterator[str]:
    """Each place that tells strategies apart: a comparison, a case, a look-up by name, or a strategy's class."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Compare() if any(is_name(part) for part in ast.walk(node)):
                yield f"line {node.lineno} compares with the name of a strategy"
            case ast.MatchValue(value=value) if is_name(value):
                yield f"line {node.lineno} has a case for the name of a strategy"
            case ast.Dict(keys=keys) if any(is_name(key) for key in keys):
                yield f"line {node.lineno} has a dictionary by strategy"
            case ast.Subscript(slice=key) if is_name(key):
                yield f"line {node.lineno} looks a strategy up by name"
            case ast.Call(func=ast.Attribute(attr="get" | "pop" | "setdefault"), args=[key, *_]) if is_name(key):
                yield f"line {node.lineno} looks a strategy up by name"
            case ast.Call(func=ast.Name(id="dict"), keywords=given) if any(k.arg in STRATEGY_NAMES for k in given):
                yield f"line {node.lineno} has a dictionary by strategy"
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in CLASSES:
                yield f"line {node.lineno} names the class {name}"
            case ast.ImportFrom(names=names) if CLASSES.intersection(one.name for one in names):
                yield f"line {node.lineno} imports the class of a strategy"


def test_no_program_tells_one_strategy_from_another() -> None:
    found = [f"{path.relative_to(ROOT)}: {what}" for path in PROGRAMS for what in switches(path.read_text())]
    assert found == [], "ask the strategy, and let its class in policy/strategies.py answer"


def test_the_schema_names_the_strategies_in_their_sections_only() -> None:
    tree = ast.parse(SECTIONS.read_text())
    sections = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "strategy_sections"]
    assert len(sections) == 1
    assert list(switches(ast.unparse(sections[0]))) != []
    tree.body.remove(sections[0])
    assert list(switches(ast.unparse(tree))) == []


def test_every_strategy_can_be_asked_for_and_has_a_section() -> None:
    fields = schema()["properties"]
    assert set(fields["strategy"]["enum"]) == STRATEGY_NAMES
    assert [name for name in STRATEGY_NAMES if "properties" not in fields.get(name, {})] == []


@pytest.mark.parametrize(
    "source",
    [
        "if plan.strategy == 'rolling': pass",
        "first = x if 'linear' != strategy.name else y",
        "few = strategy in ('canary', 'linear')",
        "match strategy:\n    case 'all_at_once' | 'rolling':\n        pass",
        "share = {'canary': 1, 'linear': 2}[name]",
        "share = dict(canary=1)",
        "final = policy['canary']['final_bake']",
        "final = policy.get('canary', {})",
        "from modeldrop.policy.strategies import Canary",
        "isinstance(plan.strategy, strategies.Rolling)",
    ],
)
def test_a_switch_is_found(source: str) -> None:
    assert list(switches(source))


@pytest.mark.parametrize(
    "source",
    [
        "detail = {'phase': 'canary'}",
        "'a canary' in note",
        "plan.strategy.first_share(10)",
        "{'strategy': strategy.name}",
    ],
)
def test_what_is_no_switch_is_let_be(source: str) -> None:
    assert not list(switches(source))
