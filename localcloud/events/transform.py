"""What a target is given: the event, a constant, a part of the event, or a template filled from it."""

from __future__ import annotations

import json
import re
import time
from typing import Any

_VARIABLE = re.compile(r"<([A-Za-z0-9_.-]+)>")
_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]|\['([^']+)'\]|\[\"([^\"]+)\"\]")
_MISSING = object()


def target_input(event: dict[str, Any], target: dict[str, Any], rule_name: str, rule_arn: str) -> str:
    """Return the payload for one target; raise ValueError where a path or template is not one."""
    if target.get("Input"):
        return str(target["Input"])
    if target.get("InputPath"):
        value = at_path(event, target["InputPath"])
        return json.dumps(None if value is _MISSING else value)
    transformer = target.get("InputTransformer")
    if not transformer:
        return json.dumps(event)
    values = {name: at_path(event, path) for name, path in (transformer.get("InputPathsMap") or {}).items()}
    values |= {
        "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": rule_name,
        "aws.events.event.ingestion-time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "aws.events.event": {name: value for name, value in event.items() if name != "detail"},
        "aws.events.event.json": event,
    }
    return fill(transformer["InputTemplate"], values)


def at_path(event: Any, path: str) -> Any:
    """Return the value at a path of dots and brackets ($.detail.object.key); a missing one is a mark of its own."""
    if not path.startswith("$"):
        raise ValueError(f"{path!r} does not begin with $")
    value, place = event, 1
    while place < len(path):
        step = _STEP.match(path, place)
        if step is None:
            raise ValueError(f"{path!r} has a step at {path[place:]!r} that EventBridge does not know")
        name, index = step[1] or step[3] or step[4], step[2]
        if index is not None:
            if not isinstance(value, list) or int(index) >= len(value):
                return _MISSING
            value = value[int(index)]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            return _MISSING
        place = step.end()
    return value


def fill(template: str, values: dict[str, Any]) -> str:
    """Return the template with its <variables> filled in.

    Inside a JSON string a variable becomes text, elsewhere JSON. One that was not found is empty text, or null.
    """
    filled, place, quoted = [], 0, False
    while place < len(template):
        found = _VARIABLE.match(template, place)
        if found and found[1] in values:
            filled.append(_as_text(values[found[1]]) if quoted else _as_json(values[found[1]]))
            place = found.end()
            continue
        character = template[place]
        if character == "\\" and quoted and place + 1 < len(template):
            filled.append(template[place : place + 2])
            place += 2
            continue
        quoted ^= character == '"'
        filled.append(character)
        place += 1
    answer = "".join(filled)
    if template.lstrip().startswith(("{", "[")):
        json.loads(answer)  # a template that is an object must stay one; ValueError says where it does not
    return answer


def _as_text(value: Any) -> str:
    if value is _MISSING:
        return ""
    return json.dumps(value if isinstance(value, str) else json.dumps(value))[1:-1]


def _as_json(value: Any) -> str:
    return "null" if value is _MISSING else json.dumps(value)
