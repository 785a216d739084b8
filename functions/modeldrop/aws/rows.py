"""Rows of the release table: one table, one key, conditional writes, and how a record becomes a row and back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from modeldrop.aws import clients
from modeldrop.aws.failures import code
from modeldrop.release.record import ReleaseRecord

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = Mapping[str, Any]

FIELDS = {field.name: field for field in dataclasses.fields(ReleaseRecord)}
# kept as JSON text
DOCUMENTS = frozenset(
    {"policy", "artifact", "plan", "rollout", "verdict", "evidence", "reasons", "problems", "cause", "progress"}
)
# what makes a row large; a summary leaves them out
LARGE = frozenset({"policy", "artifact", "plan", "rollout", "verdict", "evidence"})
SUMMARY = ("name", *(name for name in FIELDS if name not in LARGE))


# the condition of every write to a release that may still act; it needs the name #outcome
NOT_ENDED = "attribute_exists(endpoint) AND attribute_not_exists(#outcome)"


class BadRecordError(Exception):
    """One row of the release table can't be read as a release; the others can."""

    def __init__(self, endpoint: str, release: str, attribute: str, why: str) -> None:
        self.endpoint, self.release, self.attribute = endpoint, release, attribute
        super().__init__(f"release {release} of endpoint {endpoint} can't be read: {attribute} {why}")


class Rows:
    """One DynamoDB table with the key `endpoint` (lower case) and `release`."""

    def __init__(self, table_name: str, client: DynamoDBClient | None = None) -> None:
        self._table = table_name
        self._dynamodb = client or clients.dynamodb()

    def _item(self, endpoint: str, release: str, *attributes: str) -> dict[str, Any]:
        """Read one row, consistently; empty when it is not there. attributes: all of them where none is named."""
        key = {"endpoint": {"S": endpoint.lower()}, "release": {"S": release}}
        answer = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True, **projection(attributes))
        return dict(answer.get("Item", {}))

    def _query(self, **request: Any) -> Iterator[dict[str, Any]]:
        """Read rows one after the other; a page is asked for only when it is needed."""
        while True:
            answer = self._dynamodb.query(TableName=self._table, **request)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _put_new(self, item: Item) -> bool:
        """Write a row that is not there; False when it is."""
        request: Any = {
            "TableName": self._table,
            "Item": dict(item),
            "ConditionExpression": "attribute_not_exists(endpoint)",
        }
        return self._write(lambda: self._dynamodb.put_item(**request))

    def _update(
        self, endpoint: str, release: str, update: str, condition: str, names: Item, values: Mapping[str, Any]
    ) -> bool:
        """Change one row; False when the condition does not hold."""
        request: dict[str, Any] = {
            "TableName": self._table,
            "Key": {"endpoint": {"S": endpoint.lower()}, "release": {"S": release}},
            "UpdateExpression": update,
            "ConditionExpression": condition,
        }
        if names:
            request["ExpressionAttributeNames"] = dict(names)
        if values:
            request["ExpressionAttributeValues"] = dict(values)
        return self._write(lambda: self._dynamodb.update_item(**request))

    @staticmethod
    def _write(call: Callable[[], Any]) -> bool:
        try:
            call()
        except ClientError as error:
            if code(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True


def projection(attributes: tuple[str, ...]) -> Any:
    """Return what limits a read to these attributes; nothing where none is named."""
    if not attributes:
        return {}
    # by number: many of our names are words that DynamoDB reserves
    names = {f"#a{place}": name for place, name in enumerate(attributes)}
    return {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}


def text(value: str) -> dict[str, Any]:
    """Return a string as DynamoDB takes it."""
    return {"S": value}


def number(value: int) -> dict[str, Any]:
    """Return a whole number as DynamoDB takes it."""
    return {"N": str(value)}


def to_attribute(name: str, value: Any) -> dict[str, Any]:
    """Return one field of a record as DynamoDB takes it."""
    if name in DOCUMENTS:
        return text(json.dumps(value))
    if isinstance(value, bool):
        return {"BOOL": value}
    return number(value) if isinstance(value, int) else text(str(value))


def to_item(record: ReleaseRecord) -> dict[str, Any]:
    """Return a record as a row; fields that are empty are left out."""
    item: dict[str, Any] = {"endpoint": text(record.endpoint.lower()), "release": text(record.release)}
    item["name"] = text(record.endpoint)
    for name in FIELDS:
        if name not in ("endpoint", "release") and (value := getattr(record, name)) not in (None, ""):
            item[name] = to_attribute(name, value)
    return item


def to_record(item: Item) -> ReleaseRecord:
    """Read a row as a record; BadRecordError names the attribute that is missing or can't be read."""
    endpoint, release = item["endpoint"]["S"], item["release"]["S"]
    values: dict[str, Any] = {}
    for field, attribute in {"endpoint": "name", **{name: name for name in FIELDS if name != "endpoint"}}.items():
        if attribute in item:
            try:
                values[field] = from_attribute(field, item[attribute])
            except (ValueError, TypeError, KeyError) as error:
                raise BadRecordError(endpoint, release, attribute, f"is not what it should be: {error}") from error
        elif FIELDS[field].default is FIELDS[field].default_factory is dataclasses.MISSING:
            raise BadRecordError(endpoint, release, attribute, "is missing")
    return ReleaseRecord(**values)


def from_attribute(name: str, attribute: Item) -> Any:
    """Read one field; ValueError, TypeError or KeyError where it is not of its kind."""
    if name in DOCUMENTS:
        document = json.loads(attribute["S"])
        wanted = list if name in ("reasons", "problems") else dict
        if not isinstance(document, wanted):
            raise TypeError(f"a {wanted.__name__} was expected")
        return tuple(document) if isinstance(document, list) else document
    if name in ("size_bytes", "fence"):
        return int(attribute["N"])
    return str(attribute["S"])
