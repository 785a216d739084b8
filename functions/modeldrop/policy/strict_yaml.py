"""YAML as a policy needs it: plain data only, and every value's line known.

No aliases or anchors (expansion bombs), no tags, no duplicate keys; `true` and `false` are the only booleans, so that
`off` stays a word, and nothing turns into a date or a number in base 60. Whoever may upload writes it, so bytes, depth,
nodes and names are bounded before anything is built from them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from modeldrop.errors import Problem

MAX_POLICY_BYTES = 64 * 1024
MAX_DEPTH = 16
# a policy that sets every field has about 150 of them, and 100 variables have 200
MAX_NODES = 1000
MAX_NAME_CHARACTERS = 128
# of a value or a path, in a message
MAX_SHOWN = 80
MAX_ITEMS_SHOWN = 5

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """The data of one YAML document, and at which line and column (from 1) each value starts."""

    data: Any
    marks: Mapping[Path, tuple[int, int]]
    problems: tuple[Problem, ...]


class NotYamlError(Exception):
    """The text cannot be read at all; carries the one problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def read_yaml(text: bytes) -> Document:
    """Parse one document; NotYamlError for what stops the reading, duplicate keys are collected in `problems`."""
    import yaml

    if len(text) > MAX_POLICY_BYTES:
        raise NotYamlError(
            Problem(
                "POLICY_TOO_LARGE",
                f"the policy has {len(text)} bytes, at most {MAX_POLICY_BYTES} are read",
                "rollout.yaml",
                "Remove what is not policy.",
            )
        )
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise NotYamlError(
            Problem(
                "POLICY_ENCODING",
                f"byte {error.start} (0x{text[error.start]:02x}) is not UTF-8",
                f"line {line}",
                "Save the file as UTF-8.",
            )
        ) from None
    try:
        loader = _loader_class()(decoded)
        node = loader.get_single_node()
    except _RefusedNodeError as refused:
        raise NotYamlError(refused.problem) from None
    except yaml.YAMLError as error:
        raise NotYamlError(_syntax_problem(error)) from None
    if node is None:
        return Document(None, {}, ())
    reading = _Reading(loader)
    return Document(reading.value(node, ()), reading.marks, tuple(reading.problems))


class _RefusedNodeError(Exception):
    """Well-formed YAML of a kind that a policy may not use."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.what)


class _Reading:
    """One walk over the node tree: values out, marks and duplicate keys noted."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.marks: dict[Path, tuple[int, int]] = {}
        self.problems: list[Problem] = []

    def value(self, node: Any, path: Path) -> Any:
        import yaml

        self.marks[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self.loader.construct_object(node)

    def mapping(self, node: Any, path: Path) -> dict[str, Any]:
        import yaml

        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = _place(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem("POLICY_KEY", "a field name must be one word", place, "Name a field."))
                continue
            key = str(key_node.value)
            if len(key) > MAX_NAME_CHARACTERS:
                what = f"a field name has {len(key)} characters; allowed: {MAX_NAME_CHARACTERS}"
                self.problems.append(Problem("POLICY_KEY", what, place, "Name a field."))
                continue
            if key in found:
                what = f"{shown_path((*path, key))} is given twice"
                self.problems.append(Problem("POLICY_DUPLICATE_KEY", what, place, "Keep one of them."))
            found[key] = self.value(value_node, (*path, key))
        return found


@cache
def _loader_class() -> Any:
    """A SafeLoader of its own; made on first use, since importing yaml costs more than the rest of the policy."""
    import yaml

    class StrictLoader(yaml.SafeLoader):
        """Refuses aliases, anchors, tags and deep nesting before anything is built."""

        yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  yaml's own attribute
        depth = 0
        nodes = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it out
            where = _place(event.start_mark)
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise _RefusedNodeError(
                    Problem("POLICY_ALIAS", "anchors and aliases (&, *) are not taken", where, "Write the value out.")
                )
            if getattr(event, "tag", None):
                raise _RefusedNodeError(
                    Problem("POLICY_TAG", f"tag {event.tag!r:.60} is not taken", where, "Remove it.")
                )
            self.depth += 1
            self.nodes += 1
            if self.nodes > MAX_NODES:
                raise _RefusedNodeError(
                    Problem("POLICY_NODES", f"more than {MAX_NODES} names and values", where, "Keep what is policy.")
                )
            if self.depth > MAX_DEPTH:
                raise _RefusedNodeError(
                    Problem("POLICY_DEPTH", f"nested deeper than {MAX_DEPTH}", where, "A policy has three levels.")
                )
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    # The core schema of YAML 1.2, which editors use; numbers too long to be meant stay text and fail as such.
    for tag, pattern, first in (
        ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
        ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
        ("int", r"^[-+]?(?:0|[1-9][0-9]{0,17})$", "-+0123456789"),
        ("float", r"^[-+]?[0-9]{1,18}(?:\.[0-9]{0,18})?(?:[eE][-+]?[0-9]{1,3})?$", "-+0123456789"),
    ):
        StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))
    return StrictLoader


def shown_path(path: Path) -> str:
    """The path of a field for a message: dotted, escaped where a part is not a plain word, and cut."""
    if not path:
        return "the policy"
    dotted = ".".join(map(str, path))
    plain = all(re.fullmatch(r"[a-zA-Z0-9_.-]+", str(part)) for part in path)
    return shown(dotted, plain=plain)


def shown(value: Any, *, plain: bool = False) -> str:
    """A value for a message: cut, and escaped unless it is plain text, so that it is only data."""
    if value is None:
        return "nothing"
    cut = value[:MAX_SHOWN] if isinstance(value, str) else value
    text = cut if plain else _escaped(cut)
    return text if len(text) <= MAX_SHOWN and cut == value else f"{text[: MAX_SHOWN - 3]}..."


def _escaped(value: Any) -> str:
    """What a list or section holds is not written out: it may be as long as the file."""
    if isinstance(value, dict):
        return f"a section of {len(value)} fields"
    if isinstance(value, list):
        return f"a list of {len(value)}" if len(value) > MAX_ITEMS_SHOWN else ascii([_scalar(one) for one in value])
    return ascii(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        return value[:MAX_SHOWN]
    return value if value is None or isinstance(value, int | float) else "..."


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _syntax_problem(error: Any) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    if getattr(error, "context", None):
        what = f"{error.context}: {what}"
    where = _place(mark) if mark is not None else "rollout.yaml"
    return Problem("POLICY_YAML", f"this is not YAML: {what:.200}", where, "Check indentation, colons and quotes.")
