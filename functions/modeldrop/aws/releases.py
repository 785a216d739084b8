"""The release table: records, the lease, what is live, and the order of uploads. Every write is conditional.

Items share the key `endpoint` (lower case) and `release`: a release's own id, `#lease`, `#live`, or
`#sequencer#<key>`, or `#restore#<ask>`. `#endpoints` lists the endpoints that were ever named.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from modeldrop.aws import clients
from modeldrop.aws.failures import code
from modeldrop.release.lease import LEASE_SECONDS, Lease
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.restore import Claim

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FIELDS = {field.name: field for field in dataclasses.fields(ReleaseRecord)}
DOCUMENTS = frozenset({"policy", "artifact", "plan", "rollout", "verdict", "evidence", "reasons", "problems", "cause"})
REGISTRY = "#endpoints"


class ReleaseTable:
    """One DynamoDB table; see the module for its items."""

    def __init__(self, table_name: str, client: DynamoDBClient | None = None) -> None:
        self._table = table_name
        self._dynamodb = client or clients.dynamodb()

    def create(self, record: ReleaseRecord) -> bool:
        """Write a new record; False when the release is there already (a duplicate event)."""
        item = {"endpoint": {"S": record.endpoint.lower()}, "release": {"S": record.release}}
        item |= {"name": {"S": record.endpoint}}
        for name in FIELDS:
            if name not in ("endpoint", "release") and (value := getattr(record, name)) not in (None, ""):
                item[name] = _to_attribute(name, value)
        put: dict[str, Any] = {
            "TableName": self._table,
            "Item": item,
            "ConditionExpression": "attribute_not_exists(endpoint)",
        }
        if not self._write(lambda: self._dynamodb.put_item(**put)):
            return False
        self._dynamodb.put_item(
            TableName=self._table,
            Item={
                "endpoint": {"S": REGISTRY},
                "release": {"S": record.endpoint.lower()},
                "name": {"S": record.endpoint},
            },
        )
        return True

    def get(self, endpoint: str, release: str) -> ReleaseRecord | None:
        """Read one record, consistently; None when there is no such release."""
        item = self._item(endpoint, release)
        return _record(item) if item else None

    def require(self, endpoint: str, release: str) -> ReleaseRecord:
        """Read one record that must be there."""
        record = self.get(endpoint, release)
        if record is None:
            raise LookupError(f"no release {release} of endpoint {endpoint} in table {self._table}")
        return record

    def recent(self, endpoint: str, limit: int = 20) -> list[ReleaseRecord]:
        """Return the newest records of an endpoint, newest first."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="endpoint = :endpoint",
            ExpressionAttributeValues={":endpoint": {"S": endpoint.lower()}},
        )
        items = [item for page in pages for item in page["Items"] if not item["release"]["S"].startswith("#")]
        records = sorted((_record(item) for item in items), key=lambda one: (one.uploaded_at, one.admitted_at))
        return records[::-1][:limit]

    def endpoints(self) -> list[str]:
        """Return the name of every endpoint a release was ever admitted for."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="endpoint = :registry",
            ExpressionAttributeValues={":registry": {"S": REGISTRY}},
        )
        return [item["name"]["S"] for page in pages for item in page["Items"]]

    def update(self, endpoint: str, release: str, *, if_fence: int | None = None, **fields: Any) -> bool:
        """Set fields of a release that has no outcome yet; with a fence, only while the record carries that fence."""
        names, values, sets = {"#outcome": "outcome"}, {}, []
        for name, value in fields.items():
            names[f"#{name}"], values[f":{name}"] = name, _to_attribute(name, value)
            sets.append(f"#{name} = :{name}")
        condition = "attribute_exists(endpoint) AND attribute_not_exists(#outcome)"
        if if_fence is not None:
            names["#fence"], values[":expected"] = "fence", {"N": str(if_fence)}
            condition += " AND #fence = :expected"
        return self._update(endpoint, release, "SET " + ", ".join(sets), condition, names, values)

    def once(self, endpoint: str, release: str, mark: str) -> bool:
        """Set a mark on the record; True for the one caller that set it, so that a thing is done at most once."""
        names = {"#mark": f"mark_{mark}"}
        return self._update(
            endpoint, release, "SET #mark = :true", "attribute_not_exists(#mark)", names, {":true": {"BOOL": True}}
        )

    def finish(self, record: ReleaseRecord, message: Mapping[str, str]) -> bool:
        """Write the outcome and its message (the outbox row) in one step; False when there is an outcome already."""
        names = {"#outcome": "outcome", "#message": "message"}
        values: dict[str, Any] = {":message": {"S": json.dumps(dict(message))}}
        sets = ["#message = :message"]
        for name in (
            "outcome",
            "phase",
            "headline",
            "reasons",
            "cause",
            "finished_at",
            "verdict",
            "rollout",
            "evidence",
        ):
            names[f"#{name}"], values[f":{name}"] = name, _to_attribute(name, getattr(record, name))
            sets.append(f"#{name} = :{name}")
        condition = "attribute_exists(endpoint) AND attribute_not_exists(#outcome)"
        return self._update(record.endpoint, record.release, "SET " + ", ".join(sets), condition, names, values)

    def outbox(self, endpoint: str, release: str) -> dict[str, str] | None:
        """Return the message that still has to be sent; None when there is none or it was sent."""
        item = self._item(endpoint, release)
        if not item or "message" not in item or "message_sent" in item:
            return None
        message: dict[str, str] = json.loads(item["message"]["S"])
        return message

    def mark_sent(self, endpoint: str, release: str, message_id: str) -> None:
        """Remember that the outcome's message went out."""
        self._update(
            endpoint, release, "SET message_sent = :id", "attribute_exists(endpoint)", {}, {":id": {"S": message_id}}
        )

    def request_abort(self, endpoint: str, release: str, who: str) -> bool:
        """Ask a running release to roll back; False when it already has an outcome."""
        return self.update(endpoint, release, abort_requested_by=who[:200])

    def ask_restore(self, endpoint: str, claim: Claim, who: str, expires: int) -> bool:
        """Note that somebody asks for a roll back; expires: seconds since 1970. False when the ask's id was used."""
        values = {":restores": {"S": claim.restores}, ":who": {"S": who[:200]}, ":expires": {"N": str(expires)}}
        update = "SET restores = :restores, asked_by = :who, expires = :expires"
        return self._update(endpoint, f"#restore#{claim.ask}", update, "attribute_not_exists(asked_by)", {}, values)

    def take_restore(self, endpoint: str, claim: Claim, release: str, now: int) -> str:
        """Use an ask for the release, once; who asked, or empty: never asked, too long ago, or another release's."""
        name = f"#restore#{claim.ask}"
        condition = "restores = :restores AND expires > :now AND (attribute_not_exists(used_by) OR used_by = :release)"
        values = {":restores": {"S": claim.restores}, ":now": {"N": str(now)}, ":release": {"S": release}}
        if not claim.ask or not self._update(endpoint, name, "SET used_by = :release", condition, {}, values):
            return ""
        return str(self._item(endpoint, name)["asked_by"]["S"])

    def live(self, endpoint: str) -> dict[str, str | None]:
        """Return the ids of the live and the previous good release, and the endpoint's `name` in its own case."""
        item = self._item(endpoint, "#live")
        return {name: item.get(name, {}).get("S") for name in ("live", "previous", "name")}

    def set_live(self, endpoint: str, release: str) -> None:
        """Make a release the live one; what was live becomes the previous good one. Idempotent."""
        before = self.live(endpoint)["live"]
        if before == release:
            return
        item = {"endpoint": {"S": endpoint.lower()}, "release": {"S": "#live"}, "name": {"S": endpoint}}
        item |= {"live": {"S": release}} | ({"previous": {"S": before}} if before else {})
        self._dynamodb.put_item(TableName=self._table, Item=item)

    def claim_sequence(self, endpoint: str, key: str, sequence: str) -> bool:
        """Record the latest event seen of a key; False when a later one was seen already."""
        name = "#sequencer#" + hashlib.sha256(key.encode()).hexdigest()[:32]
        return self._update(
            endpoint,
            name,
            "SET seen = :seen",
            "attribute_not_exists(seen) OR seen <= :seen",
            {},
            {":seen": {"S": sequence}},
        )

    def announce(self, endpoint: str, order: str) -> None:
        """Tell the lease that a release of this order wants the endpoint; older waiting ones read it."""
        self._update(
            endpoint,
            "#lease",
            "SET newest = :order",
            "attribute_not_exists(newest) OR newest < :order",
            {},
            {":order": {"S": order}},
        )

    def lease(self, endpoint: str) -> Lease:
        """Read the lease, consistently."""
        item = self._item(endpoint, "#lease")
        return Lease(
            owner=item.get("owner", {}).get("S", ""),
            execution_arn=item.get("execution_arn", {}).get("S", ""),
            fence=int(item.get("fence", {}).get("N", 0)),
            expires=int(item.get("expires", {}).get("N", 0)),
            newest=item.get("newest", {}).get("S", ""),
        )

    def acquire(self, endpoint: str, release: str, execution_arn: str, seen: Lease, now: int) -> int | None:
        """Take the lease that was read as `seen`; the new fence, or None when somebody was quicker."""
        values = {
            ":me": {"S": release},
            ":arn": {"S": execution_arn},
            ":expires": {"N": str(now + LEASE_SECONDS)},
            ":one": {"N": "1"},
            ":fence": {"N": str(seen.fence)},
        }
        condition = "attribute_not_exists(fence) OR fence = :fence"
        update = "SET #owner = :me, execution_arn = :arn, expires = :expires ADD fence :one"
        taken = self._update(endpoint, "#lease", update, condition, {"#owner": "owner"}, values)
        return seen.fence + 1 if taken else None

    def renew(self, endpoint: str, fence: int, now: int) -> bool:
        """Extend the lease; False when it is no longer ours."""
        return self._update(
            endpoint,
            "#lease",
            "SET expires = :expires",
            "fence = :fence AND attribute_exists(#owner)",
            {"#owner": "owner"},
            {":expires": {"N": str(now + LEASE_SECONDS)}, ":fence": {"N": str(fence)}},
        )

    def release_lease(self, endpoint: str, release: str) -> bool:
        """Give the lease back; False when it is not ours."""
        condition, names = "#owner = :me", {"#owner": "owner"}
        return self._update(
            endpoint, "#lease", "REMOVE #owner, execution_arn, expires", condition, names, {":me": {"S": release}}
        )

    def approval_token(self, endpoint: str, release: str) -> str | None:
        """Return the callback token of a release that waits for approval."""
        token: str | None = self._item(endpoint, release).get("approval_token", {}).get("S")
        return token

    def _item(self, endpoint: str, release: str) -> dict[str, Any]:
        key = {"endpoint": {"S": endpoint.lower()}, "release": {"S": release}}
        answer = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return dict(answer.get("Item", {}))

    def _update(
        self,
        endpoint: str,
        release: str,
        update: str,
        condition: str,
        names: Mapping[str, str],
        values: Mapping[str, Any],
    ) -> bool:
        request: dict[str, Any] = {
            "TableName": self._table,
            "Key": {"endpoint": {"S": endpoint.lower()}, "release": {"S": release}},
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": dict(values),
        }
        if names:
            request["ExpressionAttributeNames"] = dict(names)
        return self._write(lambda: self._dynamodb.update_item(**request))

    @staticmethod
    def _write(call: Any) -> bool:
        try:
            call()
        except ClientError as error:
            if code(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True


def _to_attribute(name: str, value: Any) -> dict[str, Any]:
    if name in DOCUMENTS:
        return {"S": json.dumps(value)}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    return {"S": str(value)}


def _record(item: Mapping[str, Any]) -> ReleaseRecord:
    values: dict[str, Any] = {}
    for name, field in FIELDS.items():
        if name not in item:
            continue
        kind, raw = next(iter(item[name].items()))
        if name in DOCUMENTS:
            values[name] = json.loads(raw)
        else:
            values[name] = int(raw) if kind == "N" else raw
        if field.name in ("reasons", "problems"):
            values[name] = tuple(values[name])
    values["endpoint"] = item["name"]["S"]
    return ReleaseRecord(**values)
