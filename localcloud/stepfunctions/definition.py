"""What AWS refuses about a definition that moto's parser lets through: transitions that lead nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

TERMINAL = {"Succeed", "Fail"}


def definition_problems(definition: str) -> list[str]:
    """Return AWS-style problem texts; none for a definition whose transitions all lead somewhere."""
    try:
        document = json.loads(definition)
    except ValueError as error:
        return [f"INVALID_JSON_DESCRIPTION: {error}"]
    return list(_machine(document, "/")) if isinstance(document, dict) else ["SCHEMA_VALIDATION_FAILED: not an object"]


def _machine(machine: dict[str, Any], path: str) -> Iterator[str]:
    states = machine.get("States")
    if not isinstance(states, dict) or not states:
        yield f"SCHEMA_VALIDATION_FAILED: a state machine needs States at {path}"
        return
    if machine.get("StartAt") not in states:
        yield f"MISSING_TRANSITION_TARGET: Missing 'StartAt' target: {machine.get('StartAt')} at {path}StartAt"
    for name, state in states.items():
        here = f"{path}States/{name}/"
        yield from _state(state, states, here)
        for branch in state.get("Branches", []):
            yield from _machine(branch, f"{here}Branches/")
        for nested in ("ItemProcessor", "Iterator"):
            if nested in state:
                yield from _machine(state[nested], f"{here}{nested}/")


def _state(state: dict[str, Any], states: dict[str, Any], path: str) -> Iterator[str]:
    targets = [("Next", state.get("Next")), ("Default", state.get("Default"))]
    targets += [("Catch", catcher.get("Next", "")) for catcher in state.get("Catch", [])]
    targets += [("Choices", choice.get("Next", "")) for choice in state.get("Choices", [])]
    for field, target in targets:
        if target is not None and target not in states:
            yield f"MISSING_TRANSITION_TARGET: Missing '{field}' target: {target} at {path}{field}"
    kind = state.get("Type")
    if kind not in TERMINAL | {"Choice"} and not state.get("End") and "Next" not in state:
        yield f"SCHEMA_VALIDATION_FAILED: a {kind} state needs Next or End at {path}"
