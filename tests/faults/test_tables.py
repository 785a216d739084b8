"""The tables of the fault stories against moto's DynamoDB: the same writes, the same answers."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.matrix import prepared
from tests.faults.storage import AwsError, Json
from tests.faults.stories import STORIES
from tests.faults.tables import Tables
from tests.faults.world import TABLE, resources

ACCOUNT, REGION = "123456789012", "us-east-1"


class MotoTables:
    """moto's own parsing of requests, conditions and updates, without HTTP."""

    def __init__(self, properties: Json) -> None:
        from moto.dynamodb.models import dynamodb_backends

        dynamodb_backends[ACCOUNT][REGION].reset()
        names = ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes")
        self.call("CreateTable", {"TableName": TABLE, **{key: properties[key] for key in names if key in properties}})

    def call(self, operation: str, params: Json) -> Json:
        from moto.core.exceptions import JsonRESTError
        from moto.dynamodb.responses import DynamoHandler

        handler = DynamoHandler()
        handler.body = handler.params = copy.deepcopy(params)
        handler.current_account, handler.region, handler.headers = ACCOUNT, REGION, {}
        method = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation).lstrip("_")
        try:
            answer: Any = getattr(handler, method)()
        except JsonRESTError as error:
            raise AwsError(str(error.error_type).rpartition("#")[2], str(error.message)) from None
        return copy.deepcopy(dict(answer.result))


def answered(tables: Any, operation: str, params: Json) -> Any:
    """Return an answer, or the code of the refusal, without what differs by design."""
    try:
        found = tables.call(operation, params)
    except AwsError as error:
        return error.code
    return {name: value for name, value in found.items() if name not in ("ConsumedCapacity", "ScannedCount")}


@pytest.mark.parametrize("name", ["rehearse_and_approve", "supersede", "restore"])
def test_a_whole_story_gets_the_same_answers_from_moto(name: str) -> None:
    story, calls = STORIES[name], list[tuple[str, Json]]()
    with prepared(story) as told:
        own = told.world.tables
        kept = copy.deepcopy(own._items)
        told.world.watchers.append(recorder(calls))
        story.happens(told)
        told.end()
    properties = resources()["ReleaseTable"]["Properties"]
    moto, ours = MotoTables(properties), Tables(TABLE, properties)
    for item in kept.values():
        moto.call("PutItem", {"TableName": TABLE, "Item": item})
        ours.call("PutItem", {"TableName": TABLE, "Item": item})
    assert len(calls) > 50
    for operation, params in calls:
        assert answered(ours, operation, params) == answered(moto, operation, params), (operation, params)


def recorder(calls: list[tuple[str, Json]]) -> Any:
    def record(_running: Any, service: str, operation: str, params: Json) -> None:
        if service == "dynamodb":
            calls.append((operation, copy.deepcopy(params)))

    return record


TEXTS = st.sampled_from(["a", "b", "ab"])
CONDITIONS = (
    "attribute_not_exists(#a)",
    "attribute_exists(a) AND b = :s",
    "a < :s OR attribute_not_exists(b)",
    "NOT (a = :s AND b <> :t)",
    "begins_with(a, :s)",
    "a BETWEEN :s AND :t",
    "attribute_exists(a) AND (b = :s OR attribute_not_exists(c)) AND a <= :t",
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(CONDITIONS),
            st.sampled_from(["SET #a = :s", "SET b = :t REMOVE c", "SET c = :s ADD n :n", "REMOVE #a, b"]),
            TEXTS,
            TEXTS,
        ),
        max_size=6,
    )
)
def test_conditions_and_updates_are_those_of_moto(steps: list[tuple[str, str, str, str]]) -> None:
    properties = resources()["ReleaseTable"]["Properties"]
    ours, moto = Tables(TABLE, properties), MotoTables(properties)
    key = {"endpoint": {"S": "e"}, "release": {"S": "r"}}
    for condition, update, first, second in steps:
        text = condition + update
        used = {":s": {"S": first}, ":t": {"S": second}, ":n": {"N": "1"}}
        params: Json = {
            "TableName": TABLE,
            "Key": key,
            "ConditionExpression": condition,
            "UpdateExpression": update,
            "ExpressionAttributeValues": {name: value for name, value in used.items() if name in text},
        }
        if "#a" in text:
            params["ExpressionAttributeNames"] = {"#a": "a"}
        if not params["ExpressionAttributeValues"]:
            del params["ExpressionAttributeValues"]
        assert answered(ours, "UpdateItem", params) == answered(moto, "UpdateItem", params)
        get = {"TableName": TABLE, "Key": key}
        assert answered(ours, "GetItem", get) == answered(moto, "GetItem", get)
