"""JSONata as Step Functions evaluates it (developer guide, "Transforming data with JSONata in Step Functions")."""

from __future__ import annotations

import hashlib
import json
import math
import random
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from jsonata import Jsonata
from jsonata.utils import Utils

HASHES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
MAX_RANGE = 1000


class QueryError(Exception):
    """The expression does not parse, fails, or gives nothing that JSON can hold; the message says which."""


def evaluate(expression: str, bindings: Mapping[str, Any]) -> Any:
    """Return the JSON value of an expression; raises QueryError.

    bindings: variables by name, without the dollar sign. An expression that gives nothing (undefined) is an error, as
    on AWS, while null is a value.
    """
    try:
        compiled = Jsonata(expression)
        compiled.set_output_convert_nulls(False)
        variables = {name: _with_nulls(value) for name, value in bindings.items()}
        found = compiled.evaluate(None, {**_FUNCTIONS, **variables})
    except Exception as error:  # whatever the engine trips over, it is the expression that failed
        raise QueryError(f"The JSONata expression '{expression}' could not be evaluated: {error}") from None
    if found is None:
        raise QueryError(f"The JSONata expression '{expression}' returned nothing (undefined).")
    return _to_json(found, expression)


def _with_nulls(value: Any) -> Any:
    """Tell JSON's null from JSONata's nothing."""
    if value is None:
        return Utils.NULL_VALUE
    if isinstance(value, dict):
        return {str(key): _with_nulls(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_with_nulls(member) for member in value]
    return iso_time(value) if isinstance(value, datetime) else value


def iso_time(moment: datetime) -> str:
    """Return a time as Step Functions writes it: UTC, milliseconds, Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _to_json(value: Any, expression: str) -> Any:
    if value is Utils.NULL_VALUE:
        return None
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {key: _to_json(member, expression) for key, member in value.items() if member is not None}
    if isinstance(value, list | tuple | range):
        return [_to_json(member, expression) for member in value]
    raise QueryError(f"The JSONata expression '{expression}' returned an unsupported result type.")


# $map hands a function the index and the whole array as well: *_more takes them
def _parse(text: Any, *_more: Any) -> Any:
    return None if text is None else _with_nulls(json.loads(text))


def _partition(values: Any, size: Any, *_more: Any) -> Any:
    items, step = values if isinstance(values, list) else [values], int(size)
    if step < 1:
        raise ValueError("$partition needs a positive size")
    return [items[start : start + step] for start in range(0, len(items), step)]


def _range(first: Any, last: Any, step: Any, *_more: Any) -> Any:
    if step == 0:
        raise ValueError("$range needs a step other than 0")
    count = int((last - first) // step) + 1
    if count > MAX_RANGE:
        raise ValueError(f"$range gives at most {MAX_RANGE} numbers")
    return [first + index * step for index in range(max(count, 0))]


def _hash(text: Any, algorithm: Any, *_more: Any) -> Any:
    if algorithm not in HASHES:
        raise ValueError(f"$hash knows {', '.join(HASHES)}, not {algorithm!r}")
    # the algorithm is the state machine author's choice, for what AWS offers it
    return hashlib.new(HASHES[algorithm], str(text).encode(), usedforsecurity=False).hexdigest()


def _random(seed: Any = None, *_more: Any) -> Any:
    return random.random() if seed is None else random.Random(seed).random()  # noqa: S311 not for secrets


def _uuid(*_more: Any) -> str:
    return str(uuid.uuid4())


# what Step Functions adds to JSONata's own functions
_FUNCTIONS = {
    name: Jsonata.JLambda(function)
    for name, function in {
        "parse": _parse,
        "partition": _partition,
        "range": _range,
        "hash": _hash,
        "random": _random,
        "uuid": _uuid,
    }.items()
}
