"""Captured answers: what one line of SageMaker's data capture says, as the class of an answer and when it was given.

The format of a line and of TensorFlow Serving's answers: SageMaker developer guide, "Capture data from real-time
endpoint"; TensorFlow Serving, "RESTful API". Every byte of it may have been chosen by a user of the endpoint.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# a class with a longer name is one all the same, by its beginning
MAX_NAME = 40
# nested deeper, it is no answer that has a class
MAX_DEPTH = 4


@dataclass(frozen=True)
class Answer:
    """One captured answer: when (UTC) and which class; empty where the output is not in it or has no class."""

    at: datetime
    name: str


def read_capture(lines: Iterable[str], output: str) -> tuple[list[Answer], int]:
    """Return the answers in a capture file, and how many lines could not be read at all."""
    found, bad = [], 0
    for text in lines:
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            at = datetime.fromisoformat(line["eventMetadata"]["inferenceTime"])
            found.append(Answer(at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC), _class_in(line, output)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            bad += 1
    return found, bad


def class_of(document: Any, output: str) -> str:
    """Return the class of a TensorFlow Serving answer's first row; empty where it has none.

    Only the first row of a request counts: the others are not independent of it. A word or whole number is a class, a
    vector of scores the class of the highest, one score the tenth it falls in (or, outside of 0 to 1, the power of 2).
    """
    if not isinstance(document, dict):
        return ""
    for key in ("predictions", "outputs", "results"):
        if key not in document:
            continue
        rows = document[key]
        if isinstance(rows, dict):  # by column: a list for each output
            rows = rows.get(output)
        row = rows[0] if isinstance(rows, list) and rows else None
        if isinstance(row, dict) and "b64" not in row:
            row = row.get(output)
        return _label(row) if key != "results" else _best(row)
    return ""


def _class_in(line: Mapping[str, Any], output: str) -> str:
    captured = line["captureData"].get("endpointOutput")
    if captured is None:
        return ""
    data = captured["data"]
    if captured["encoding"] == "BASE64":
        try:
            data = base64.b64decode(data, validate=True)
        except binascii.Error:
            return ""
    try:
        return class_of(json.loads(data), output)
    except ValueError:  # an answer that is no JSON has no class, and its line is a good one
        return ""


def _label(value: Any, depth: int = 0) -> str:
    match value:
        case str():
            return _printable(value)
        case bool() | int():
            return _printable(str(value)) if abs(value) < 10**MAX_NAME else ""
        case float():
            return _bucket(value)
        case {"b64": str() as packed}:
            return _printable(packed)
        case [one] if depth < MAX_DEPTH:
            return _label(one, depth + 1)
        case [str() as first, *_]:
            return _printable(first)
        case [_, *_] if all(isinstance(one, int | float) and not isinstance(one, bool) for one in value):
            scores = [float(one) if math.isfinite(one) else -math.inf for one in value]
            return f"class {scores.index(max(scores))}"
        case _:
            return ""


def _best(pairs: Any) -> str:
    """Return the label with the highest score of a classify answer, or a regress answer's bucket."""
    if isinstance(pairs, int | float):
        return _bucket(float(pairs))
    scored = [(float(score), str(label)) for label, score in pairs] if isinstance(pairs, list) else []
    return _printable(max(scored)[1]) if scored else ""


def _bucket(value: float) -> str:
    if not math.isfinite(value):
        return "not a finite number"
    if 0 <= value <= 1:
        tenth = min(9, int(value * 10 + 1e-9))
        return f"{tenth / 10:.1f} to {(tenth + 1) / 10:.1f}"
    power = math.frexp(abs(value))[1] - 1
    low, high = 2.0**power, 2.0 ** (power + 1)
    return f"{low:g} to {high:g}" if value > 0 else f"-{high:g} to -{low:g}"


def _printable(text: str) -> str:
    """Return the name as data for people: no control or bidi characters, short."""
    shown = "".join(one if one.isprintable() else "?" for one in text[:MAX_NAME])
    return shown or "(empty)"
