"""DynamoDB of a story: its expressions, conditions and indexes over plain dictionaries.

moto's DynamoDB takes 2 to 5 ms a write, and a matrix makes millions; this takes a fiftieth of that. It knows what the
product uses and refuses everything else. `test_tables.py` replays the writes of whole stories on moto and compares.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from typing import Any

from tests.faults.storage import AwsError, Json

TOKEN = re.compile(r"\s*(?:(<>|<=|>=|[=<>(),+-])|([#:]?[A-Za-z_][A-Za-z0-9_.]*))")
CLAUSES = ("SET", "REMOVE", "ADD", "DELETE")
# DynamoDB, item size
MAX_ITEM_BYTES = 400 * 1024
Item = dict[str, Any]


class Tables:
    """One table with its indexes."""

    def __init__(self, name: str, properties: Json) -> None:
        """properties: of the table in template.yaml."""
        self.name = name
        self._keys = tuple(one["AttributeName"] for one in properties["KeySchema"])
        self._indexes = {one["IndexName"]: one for one in properties.get("GlobalSecondaryIndexes", ())}
        self._items: dict[tuple[str, ...], Item] = {}

    def call(self, operation: str, params: Json) -> Json:
        """Answer one call of DynamoDB."""
        if operation == "TransactWriteItems":
            return self._transact(params)
        if params["TableName"] != self.name:
            raise AwsError("ResourceNotFoundException", f"Requested resource not found: {params['TableName']}")
        calls: dict[str, Callable[[Json], Json]] = {
            "GetItem": self._get,
            "PutItem": self._put,
            "UpdateItem": self._update,
            "DeleteItem": self._delete,
            "Query": self._query,
        }
        return copy.deepcopy(calls[operation](params))

    def item(self, endpoint: str, release: str) -> Item:
        """Read one item, for the checks."""
        return self._items.get((endpoint.lower(), release), {})

    def items(self, endpoint: str) -> list[Item]:
        """Read every item of an endpoint, for the checks."""
        return [item for key, item in sorted(self._items.items()) if key[0] == endpoint.lower()]

    def _key(self, item: Item) -> tuple[str, ...]:
        return tuple(str(item[name]["S"]) for name in self._keys)

    def _get(self, params: Json) -> Json:
        found = self._items.get(self._key(params["Key"]))
        return {} if found is None else {"Item": _projected(found, params)}

    def _put(self, params: Json) -> Json:
        key = self._key(params["Item"])
        self._require(params, self._items.get(key))
        self._keep(key, copy.deepcopy(params["Item"]))
        return {}

    def _delete(self, params: Json) -> Json:
        key = self._key(params["Key"])
        self._require(params, self._items.get(key))
        self._items.pop(key, None)
        return {}

    def _update(self, params: Json) -> Json:
        key = self._key(params["Key"])
        before = self._items.get(key)
        self._require(params, before)
        item = dict(before) if before is not None else copy.deepcopy(params["Key"])
        old = dict(item)
        for clause, text in _clauses(params.get("UpdateExpression", "")):
            for part in _split(text):
                _apply(clause, part, item, old, params)
        self._keep(key, item)
        wanted = params.get("ReturnValues", "NONE")
        return {"Attributes": item} if wanted in ("ALL_NEW", "UPDATED_NEW") else {}

    def _keep(self, key: tuple[str, ...], item: Item) -> None:
        size = sum(len(name) + len(str(next(iter(value.values())))) for name, value in item.items())
        if size > MAX_ITEM_BYTES:
            raise AwsError("ValidationException", "Item size has exceeded the maximum allowed size")
        self._items[key] = item

    def _require(self, params: Json, item: Item | None) -> None:
        text = params.get("ConditionExpression")
        if text and not _holds(text, item or {}, params):
            raise AwsError("ConditionalCheckFailedException", "The conditional request failed")

    def _transact(self, params: Json) -> Json:
        names = {"Put": self._put, "Update": self._update, "Delete": self._delete}
        kept = dict(self._items)
        for place, action in enumerate(params["TransactItems"]):
            ((kind, one),) = action.items()
            try:
                if kind == "ConditionCheck":
                    self._require(one, self._items.get(self._key(one["Key"])))
                else:
                    names[kind](one)
            except AwsError as error:
                self._items = kept
                reasons = ", ".join(
                    "ConditionalCheckFailed" if n == place else "None" for n in range(len(params["TransactItems"]))
                )
                raise AwsError("TransactionCanceledException", f"Transaction cancelled [{reasons}]") from error
        return {}

    def _query(self, params: Json) -> Json:
        index = self._indexes.get(params["IndexName"]) if params.get("IndexName") else None
        if params.get("IndexName") and index is None:
            raise AwsError("ValidationException", f"The table does not have the specified index: {params['IndexName']}")
        names = tuple(one["AttributeName"] for one in index["KeySchema"]) if index else self._keys
        having = [item for item in self._items.values() if all(name in item for name in names)]
        found = [item for item in having if _holds(params["KeyConditionExpression"], item, params)]
        found.sort(key=lambda item: tuple(item[name]["S"] for name in (*names[1:], *self._keys)))
        if not params.get("ScanIndexForward", True):
            found.reverse()
        if start := params.get("ExclusiveStartKey"):
            place = [self._key(item) for item in found].index(self._key(start))
            found = found[place + 1 :]
        limit = int(params.get("Limit") or len(found) or 1)
        page, rest = found[:limit], found[limit:]
        if text := params.get("FilterExpression"):
            shown = [item for item in page if _holds(text, item, params)]
        else:
            shown = page
        if index is not None:
            shown = [_in_index(item, index, (*names, *self._keys)) for item in shown]
        answer: Json = {"Items": [_projected(item, params) for item in shown], "Count": len(shown)}
        if rest:
            last = page[-1]
            answer["LastEvaluatedKey"] = {name: last[name] for name in {*names, *self._keys}}
        return answer | {"ScannedCount": len(page)}


def _in_index(item: Item, index: Json, keys: tuple[str, ...]) -> Item:
    projection = index["Projection"]
    if projection["ProjectionType"] == "ALL":
        return item
    kept = {*keys, *projection.get("NonKeyAttributes", ())}
    return {name: value for name, value in item.items() if name in kept}


def _projected(item: Item, params: Json) -> Item:
    text = params.get("ProjectionExpression")
    if not text:
        return item
    wanted = {_name(part.strip(), params) for part in text.split(",")}
    return {name: value for name, value in item.items() if name in wanted}


def _name(text: str, params: Json) -> str:
    return str(params["ExpressionAttributeNames"][text]) if text.startswith("#") else text


def _operand(text: str, item: Item, params: Json) -> Any:
    return params["ExpressionAttributeValues"][text] if text.startswith(":") else item.get(_name(text, params))


def _plain(value: Any) -> Any:
    """Return an attribute value as one that compares as DynamoDB compares: type first."""
    ((kind, raw),) = value.items()
    return (kind, Decimal(raw)) if kind == "N" else (kind, raw)


@cache
def _tokens(text: str) -> tuple[str, ...]:
    found, place = [], 0
    text = text.strip()
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None:
            raise AwsError("ValidationException", f"Invalid expression at {text[place:]!r}")
        found.append(match[1] or match[2])
        place = match.end()
    return tuple(found)


def _holds(text: str, item: Item, params: Json) -> bool:
    """Say whether a condition holds of an item."""
    tokens = list(_tokens(text))
    result = _or(tokens, item, params)
    if tokens:
        raise AwsError("ValidationException", f"Invalid condition: {tokens}")
    return result


def _or(tokens: list[str], item: Item, params: Json) -> bool:
    result = _and(tokens, item, params)
    while tokens and tokens[0].upper() == "OR":
        tokens.pop(0)
        result = _and(tokens, item, params) or result
    return result


def _and(tokens: list[str], item: Item, params: Json) -> bool:
    result = _one(tokens, item, params)
    while tokens and tokens[0].upper() == "AND":
        tokens.pop(0)
        result = _one(tokens, item, params) and result
    return result


def _one(tokens: list[str], item: Item, params: Json) -> bool:
    first = tokens.pop(0)
    if first.upper() == "NOT":
        return not _one(tokens, item, params)
    if first == "(":
        result = _or(tokens, item, params)
        _expect(tokens, ")")
        return result
    if first in ("attribute_exists", "attribute_not_exists", "begins_with", "contains"):
        _expect(tokens, "(")
        path = tokens.pop(0)
        there = _operand(path, item, params)
        if first.startswith("attribute"):
            _expect(tokens, ")")
            return (there is not None) == (first == "attribute_exists")
        _expect(tokens, ",")
        wanted = _plain(_operand(tokens.pop(0), item, params))
        _expect(tokens, ")")
        if there is None:
            return False
        value = _plain(there)[1]
        return value.startswith(wanted[1]) if first == "begins_with" else wanted[1] in value
    left, operator = _operand(first, item, params), tokens.pop(0)
    if operator.upper() == "BETWEEN":
        low, _, high = _operand(tokens.pop(0), item, params), tokens.pop(0), _operand(tokens.pop(0), item, params)
        return left is not None and _plain(low) <= _plain(left) <= _plain(high)
    if operator.upper() == "IN":
        _expect(tokens, "(")
        options = []
        while tokens[0] != ")":
            options.append(_operand(tokens.pop(0), item, params))
            if tokens[0] == ",":
                tokens.pop(0)
        _expect(tokens, ")")
        return left in options
    right = _operand(tokens.pop(0), item, params)
    if left is None or right is None:
        return operator == "<>" and left is not right
    a, b = _plain(left), _plain(right)
    if a[0] != b[0]:
        return operator == "<>"
    compared = {"=": a == b, "<>": a != b}
    if operator in compared:
        return compared[operator]
    return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator]


def _expect(tokens: list[str], wanted: str) -> None:
    if not tokens or tokens.pop(0) != wanted:
        raise AwsError("ValidationException", f"expected {wanted}")


def _clauses(text: str) -> Iterator[tuple[str, str]]:
    """Split an update expression into (clause, its text)."""
    parts = re.split(r"\b(SET|REMOVE|ADD|DELETE)\b", text)
    for place in range(1, len(parts), 2):
        yield parts[place], parts[place + 1].strip()


def _split(text: str) -> Iterator[str]:
    """Split at commas outside parentheses."""
    depth, begin = 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            yield text[begin:place].strip()
            begin = place + 1
    if text[begin:].strip():
        yield text[begin:].strip()


def _apply(clause: str, part: str, item: Item, old: Item, params: Json) -> None:
    if clause == "REMOVE":
        item.pop(_name(part, params), None)
        return
    if clause == "SET":
        path, _, value = part.partition("=")
        item[_name(path.strip(), params)] = copy.deepcopy(_value(value.strip(), old, params))
        return
    path, value = part.split()
    name, given = _name(path, params), params["ExpressionAttributeValues"][value]
    ((kind, raw),) = given.items()
    now = old.get(name)
    if clause == "ADD" and kind == "N":
        item[name] = {"N": str(Decimal(now["N"] if now else "0") + Decimal(raw))}
    elif clause == "ADD" and kind == "SS":
        item[name] = {"SS": sorted({*(now["SS"] if now else ()), *raw})}
    elif clause == "DELETE" and kind == "SS":
        left = sorted({*(now["SS"] if now else ())} - {*raw})
        if left:
            item[name] = {"SS": left}
        else:
            item.pop(name, None)
    else:
        raise NotImplementedError(f"{clause} of {kind}")


def _value(text: str, old: Item, params: Json) -> Any:
    """Return what SET assigns: an operand, a sum, if_not_exists or list_append."""
    if match := re.fullmatch(r"if_not_exists\s*\(\s*(\S+)\s*,\s*(.+)\)", text):
        there = old.get(_name(match[1], params))
        return there if there is not None else _value(match[2].strip(), old, params)
    if match := re.fullmatch(r"list_append\s*\(\s*([^,]+),\s*(.+)\)", text):
        first, second = (_value(one.strip(), old, params) for one in (match[1], match[2]))
        return {"L": [*first["L"], *second["L"]]}
    if match := re.fullmatch(r"(.+?)\s*([+-])\s*(:\S+)", text):
        first, second = _value(match[1].strip(), old, params), _value(match[3], old, params)
        if first is None:
            raise AwsError("ValidationException", "The provided expression refers to an attribute that does not exist")
        total = Decimal(first["N"]) + Decimal(second["N"]) * (1 if match[2] == "+" else -1)
        return {"N": str(total)}
    found = _operand(text, old, params)
    if found is None:
        raise AwsError("ValidationException", "The provided expression refers to an attribute that does not exist")
    return found
