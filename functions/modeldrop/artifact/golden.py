"""Golden requests: stored requests with the answers they must get, and the comparison of an answer with them.

They travel in the archive as `<version>/assets.extra/golden.jsonl`, where TF Serving ignores them: one JSON object a
line, `{"request": ..., "response": ..., "rtol": 1e-3, "atol": 1e-5}`. The tolerances are optional; where there is no
response, any answer but an error is right.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modeldrop.errors import ArtifactRejectedError, Problem

# float32 on another CPU or GPU differs in the last digits; shared facts on TensorFlow give these as a start
DEFAULT_RTOL = 1e-3
DEFAULT_ATOL = 1e-5
MAX_GOLDEN_REQUESTS = 100
MAX_GOLDEN_BYTES = 1024 * 1024
# as golden_jsonl writes them: 1e15 becomes 1000000000000000.0, a letter \u0434
MAX_STORED_BYTES = 4 * MAX_GOLDEN_BYTES
MAX_NESTING = 64
MAX_GOLDEN_PROBLEMS = 20
MAX_DIFFERENCE = 400
# what TF Serving, and handlers in code/, call an error in a body
ERROR_NAMES = frozenset({"error", "Error", "errors", "errorMessage"})


@dataclass(frozen=True)
class GoldenRequest:
    """A TF Serving JSON request body, the body it must be answered with, and how far numbers may differ.

    response None: any answer but an error will do.
    """

    request: dict[str, Any]
    response: dict[str, Any] | None
    rtol: float = DEFAULT_RTOL
    atol: float = DEFAULT_ATOL


def golden_jsonl(requests: Sequence[GoldenRequest]) -> bytes:
    """The requests as a file that parse_golden reads again; of those it read, no larger than MAX_STORED_BYTES."""
    documents = (
        {"request": one.request, "rtol": one.rtol, "atol": one.atol}
        | ({} if one.response is None else {"response": one.response})
        for one in requests
    )
    return "\n".join(json.dumps(document, separators=(",", ":")) for document in documents).encode()


def parse_golden(text: bytes, at_most: int = MAX_GOLDEN_BYTES) -> tuple[GoldenRequest, ...]:
    """Read golden.jsonl of `at_most` bytes, without blank lines; ArtifactRejectedError names the first wrong lines."""
    if len(text) > at_most:
        raise ArtifactRejectedError([_problem(f"{len(text)} bytes, at most {at_most} are read", "the file")])
    requests: list[GoldenRequest] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            requests.append(_request(line))
        except ValueError as error:
            problems.append(_problem(f"{error}"[:200], f"line {number}"))
            if len(problems) == MAX_GOLDEN_PROBLEMS:  # a megabyte may hold half a million wrong lines
                break
    if len(requests) > MAX_GOLDEN_REQUESTS:
        problems.append(_problem(f"{len(requests)} requests, at most {MAX_GOLDEN_REQUESTS} are sent", "the file"))
    if not requests and not problems:
        problems.append(_problem("no request in it", "the file"))
    if problems:
        raise ArtifactRejectedError(problems)
    return tuple(requests)


def answers_match(expected: Any, found: Any, rtol: float = DEFAULT_RTOL, atol: float = DEFAULT_ATOL) -> str | None:
    """None when `found` is the same answer, numbers within atol + rtol x |expected|; else the first difference."""
    difference = _difference(expected, found, rtol, atol, "the answer")
    # a name in the answer may have a megabyte, and the release record keeps this sentence
    return difference[:MAX_DIFFERENCE] if difference else None


def wrong_answer(one: GoldenRequest, status: int, body: bytes) -> str | None:
    """None when the body is a right answer, else what is wrong with it; an error inside a 200 is one."""
    if status != 200:
        return f"was answered with status {status}: {body[:300]!r}"
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return f"was answered with something that is not JSON: {body[:300]!r}"
    if isinstance(found, dict) and not set(found).isdisjoint(ERROR_NAMES - set(one.response or ())):
        return f"was answered with an error inside a 200: {body[:300]!r}"
    if one.response is None:
        return None
    return answers_match(one.response, found, one.rtol, one.atol)


def lacks_cpu_kernel(text: bytes) -> bool:
    """Say whether TensorFlow gave up for want of a kernel on a host that has CPUs only (its own words)."""
    return b"No OpKernel was registered to support Op" in text and b"Registered devices: [CPU" in text


def lacking_operation(text: str) -> str:
    """Return the operation that TensorFlow gave up for, since it is not built with it (its own words); empty if none.

    It is given as TensorFlow wrote it, so it is data.
    """
    found = re.search(r"Op type not registered '([^']{1,80})'", text)
    return found[1] if found else ""


def _request(line: bytes) -> GoldenRequest:
    try:
        document = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    unknown = sorted(set(document) - {"request", "response", "rtol", "atol"})
    if unknown:
        raise ValueError(f"unknown field {unknown[0]!a:.60}; known: request, response, rtol, atol")
    for name in ("request", "response") if "response" in document else ("request",):
        if not isinstance(document.get(name), dict):
            raise ValueError(f"{name} must be a JSON object")
        if _depth(document[name]) > MAX_NESTING:
            raise ValueError(f"{name} is nested deeper than {MAX_NESTING}")
    return GoldenRequest(
        document["request"],
        document.get("response"),
        _tolerance(document, "rtol", DEFAULT_RTOL),
        _tolerance(document, "atol", DEFAULT_ATOL),
    )


def _tolerance(document: dict[str, Any], name: str, default: float) -> float:
    value = document.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e9:
        raise ValueError(f"{name} is {value!a:.40}; allowed: a number from 0 on")
    return float(value)


def _depth(value: Any) -> int:
    """Levels of nesting, without recursion, since a golden file may try to exhaust it."""
    deepest, todo = 0, [(value, 1)]
    while todo:
        item, depth = todo.pop()
        deepest = max(deepest, depth)
        children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        todo.extend((child, depth + 1) for child in children)
    return deepest


def _problem(what: str, where: str) -> Problem:
    fix = 'Write one {"request": {...}, "response": {...}} a line.'
    return Problem("GOLDEN_INVALID", f"golden.jsonl: {what}", where, fix)


def _difference(expected: Any, found: Any, rtol: float, atol: float, path: str) -> str | None:
    if _is_number(expected) and _is_number(found):
        return _number_difference(expected, found, rtol, atol, path)
    if type(expected) is not type(found):
        return f"{path} is {_shown(found)}, expected {_shown(expected)}"
    if isinstance(expected, dict):
        return _object_difference(expected, found, rtol, atol, path)
    if isinstance(expected, list):
        if len(expected) != len(found):
            return f"{path} has {len(found)} items, expected {len(expected)}"
        pairs = enumerate(zip(expected, found, strict=True))
        differences = (_difference(e, f, rtol, atol, f"{path}[{index}]") for index, (e, f) in pairs)
        return next((difference for difference in differences if difference), None)
    return None if expected == found else f"{path} is {_shown(found)}, expected {_shown(expected)}"


def _object_difference(
    expected: dict[str, Any], found: dict[str, Any], rtol: float, atol: float, path: str
) -> str | None:
    for name in expected:
        if name not in found:
            return f"{path} lacks {_shown(name)}"
        difference = _difference(expected[name], found[name], rtol, atol, f"{path}.{name}")
        if difference:
            return difference
    extra = next((name for name in found if name not in expected), None)
    return None if extra is None else f"{path} has {_shown(extra)}, which was not expected"


def _number_difference(expected: float, found: float, rtol: float, atol: float, path: str) -> str | None:
    wanted, got = _as_float(expected), _as_float(found)
    if expected == found or (math.isnan(wanted) and math.isnan(got)):
        return None
    if math.isfinite(wanted) and math.isfinite(got):
        allowed = atol + rtol * abs(wanted)
        if abs(wanted - got) <= allowed:
            return None
        return f"{path} is {got:.6g}, expected {wanted:.6g} within {allowed:.3g}"
    return f"{path} is {got}, expected {wanted}"


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a JSON integer has no limit
        return math.inf if value > 0 else -math.inf


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
