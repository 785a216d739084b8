"""The release table: records, the lease, what is live, and the outbox. Every write that decides is conditional.

Rows share the key `endpoint` (lower case) and `release`: a release's own id, `#lease`, `#live`, `#restore#<ask>`, or
`#signed#<digest>`. `#endpoints` lists the endpoints that were ever named. `#` sorts before every release id, and the
ids of one endpoint sort by time, so the newest are read without the others. The sparse index `open` holds the releases
that may still act; it is eventual, so no decision rests on it alone.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any
from uuid import uuid4

from modeldrop.aws.leases import Leases
from modeldrop.aws.rows import (
    NOT_ENDED,
    SUMMARY,
    BadRecordError,
    Item,
    number,
    projection,
    text,
    to_attribute,
    to_item,
    to_record,
)
from modeldrop.errors import LeaseLostError, TransientError
from modeldrop.release.live import Live, promoted
from modeldrop.release.outbox import Outbox
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.recovery import OpenRelease
from modeldrop.release.restore import Claim

REGISTRY = "#endpoints"
LIVE = "#live"
OPEN_INDEX = "open"
# the first character after those of our own rows (`#`) that a release id may begin with
FIRST_RELEASE = "0"
# an ask is used within the hour; what asked is kept a while for people who look
ASK_KEPT_SECONDS = 30 * 86_400
# documents to which several steps add
GROWING = frozenset({"rollout", "artifact"})
OUTCOME_FIELDS = (
    "outcome", "phase", "headline", "reasons", "cause", "finished_at", "verdict", "rollout", "evidence",
)  # fmt: skip

logger = logging.getLogger("modeldrop.releases")


@dataclass(frozen=True)
class Brought:
    """The release that first brought a signed model to an endpoint, and its place in the order of uploads."""

    release: str
    order: str


class ReleaseTable(Leases):
    """One DynamoDB table; see the module for its rows."""

    def create(self, record: ReleaseRecord) -> bool:
        """Write a new record, open, after its endpoint's name; False when the release is there already."""
        named = {"endpoint": text(REGISTRY), "release": text(record.endpoint.lower()), "name": text(record.endpoint)}
        self._put_new(named)
        return self._put_new(to_item(record) | {"open": text("1")})

    def get(self, endpoint: str, release: str) -> ReleaseRecord | None:
        """Read one record, consistently; None when there is no such release."""
        item = self._item(endpoint, release)
        return to_record(item) if item else None

    def exists(self, endpoint: str, release: str) -> bool:
        """Say whether there is such a release, without reading its documents."""
        return bool(self._item(endpoint, release, "release"))

    def require(self, endpoint: str, release: str) -> ReleaseRecord:
        """Read one record that must be there."""
        record = self.get(endpoint, release)
        if record is None:
            raise LookupError(f"no release {release} of endpoint {endpoint} in table {self._table}")
        return record

    def recent(
        self, endpoint: str, limit: int = 20, *, summary: bool = False, consistent: bool = False
    ) -> list[ReleaseRecord]:
        """Return the newest records of an endpoint, newest first, to the second; one that can't be read is skipped.

        summary: without policy, artifact, plan, rollout, verdict and evidence. consistent: for whoever decides by it.
        """
        limited = projection(SUMMARY) if summary else {}
        keys = {":endpoint": text(endpoint.lower()), ":first": text(FIRST_RELEASE)}
        names = {"#endpoint": "endpoint", "#release": "release"} | limited.pop("ExpressionAttributeNames", {})
        items = self._query(
            KeyConditionExpression="#endpoint = :endpoint AND #release >= :first",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=keys,
            ScanIndexForward=False,
            Limit=limit,
            ConsistentRead=consistent,
            **limited,
        )
        return list(islice(_readable(items), limit))

    def endpoints(self) -> list[str]:
        """Return the name of every endpoint a release was ever admitted for."""
        rows = self._query(
            KeyConditionExpression="endpoint = :registry", ExpressionAttributeValues={":registry": text(REGISTRY)}
        )
        return [row["name"]["S"] for row in rows]

    def open_releases(self) -> Iterator[OpenRelease]:
        """Read the releases that may still act, oldest name first; from the index, so a moment late."""
        rows = self._query(
            IndexName=OPEN_INDEX,
            KeyConditionExpression="#open = :open",
            ExpressionAttributeNames={"#open": "open"},
            ExpressionAttributeValues={":open": text("1")},
        )
        fields = ("execution_arn", "admitted_at", "finished_at", "outcome", "message_sent")
        for row in rows:
            known = {name: str(row.get(name, {}).get("S", "")) for name in fields}
            yield OpenRelease(row.get("name", row["endpoint"])["S"], row["release"]["S"], **known)

    def update(self, endpoint: str, release: str, *, if_fence: int | None = None, **fields: Any) -> bool:
        """Set fields of a release that has no outcome yet; with a fence, only while the record carries that fence.

        A document that grows (rollout, artifact) is written by `change`, which overwrites nobody's part of it.
        """
        update, names, values = setting(fields)
        condition = NOT_ENDED
        if if_fence is not None:
            names["#fence"], values[":expected"] = "fence", number(if_fence)
            condition += " AND #fence = :expected"
        return self._update(endpoint, release, update, condition, names | {"#outcome": "outcome"}, values)

    def change(self, record: ReleaseRecord, *, fenced: bool, **fields: Any) -> ReleaseRecord:
        """Write fields, each document only where it still is as `record` has it; the record as it is then.

        fenced: only while the record carries the same fence. LeaseLostError when the release was ended or its fence is
        another's. TransientError when another function of the same release wrote between the reading and this: whoever
        reads again and does the step again loses nothing. The same write a second time is no change.
        """
        update, names, values = setting(fields)
        names["#outcome"], conditions = "outcome", [NOT_ENDED]
        if fenced:
            names["#fence"], values[":expected"] = "fence", number(record.fence)
            conditions.append("#fence = :expected")
        for name in sorted(GROWING & fields.keys()):
            known = getattr(record, name)
            values[f":seen_{name}"] = to_attribute(name, known)
            conditions.append(unchanged(name, known))
        if self._update(record.endpoint, record.release, update, " AND ".join(conditions), names, values):
            return replace(record, **fields)
        found = self._item(record.endpoint, record.release, "outcome", "fence")
        if "outcome" in found or (fenced and found.get("fence") != number(record.fence)):
            raise LeaseLostError(f"{record.release} was ended, or its fence is no longer {record.fence}")
        raise TransientError(f"{record.release} was written by another function meanwhile")

    def once(self, endpoint: str, release: str, mark: str) -> bool:
        """Set a mark on the record; True for the one caller that set it, so that a thing is done at most once."""
        names, values = {"#mark": f"mark_{mark}"}, {":by": text(new_write_id())}
        condition = "attribute_exists(endpoint) AND (attribute_not_exists(#mark) OR #mark = :by)"
        return self._update(endpoint, release, "SET #mark = :by", condition, names, values)

    def marked(self, endpoint: str, release: str, mark: str) -> bool:
        """Say whether a mark is set, consistently."""
        return f"mark_{mark}" in self._item(endpoint, release, f"mark_{mark}")

    def finish(
        self, record: ReleaseRecord, message: Mapping[str, str], *, known: Mapping[str, Any] | None = None
    ) -> bool:
        """Write the outcome and its message (the outbox) in one step; False when there is an outcome already.

        known: the `rollout` that the outcome was decided from (the record's own by default). TransientError when the
        table has another by now.
        """
        fields = {name: getattr(record, name) for name in OUTCOME_FIELDS}
        update, names, values = setting(fields | {"message": json.dumps(dict(message))})
        known = record.rollout if known is None else known
        values[":seen_rollout"] = to_attribute("rollout", known)
        condition = f"{NOT_ENDED} AND {unchanged('rollout', known)}"
        if self._update(record.endpoint, record.release, update, condition, names, values):
            return True
        if "outcome" not in self._item(record.endpoint, record.release, "outcome"):
            raise TransientError(f"{record.release} was written by another function meanwhile")
        return False

    def close(self, endpoint: str, release: str, delete_after: int | None) -> bool:
        """Take a release that can't act any more out of the open ones; False while its outcome is not told.

        delete_after: seconds since 1970, from when DynamoDB may delete the record; None, and a release that is live,
        previous or retained, keep it.
        """
        kept = delete_after is None or self.live(endpoint).keeps(release)
        update, values = "REMOVE #open", {}
        if not kept and delete_after is not None:
            update, values = "SET delete_after = :after REMOVE #open", {":after": number(delete_after)}
        condition = "attribute_exists(#outcome) AND attribute_exists(message_sent)"
        return self._update(endpoint, release, update, condition, {"#open": "open", "#outcome": "outcome"}, values)

    def outbox(self, endpoint: str, release: str) -> Outbox | None:
        """Return the message that still has to be sent; None when there is none or it was sent."""
        item = self._item(endpoint, release, "message", "message_sent", "sending", "sending_at")
        if "message" not in item or "message_sent" in item:
            return None
        attempts, last = (int(item.get(name, {}).get("N", 0)) for name in ("sending", "sending_at"))
        return Outbox(json.loads(item["message"]["S"]), attempts, last)

    def begin_sending(self, endpoint: str, release: str, seen: Outbox, now: int) -> bool:
        """Count an attempt to send, before it is made; False when somebody else began, or the message was sent."""
        first = "" if seen.attempts else "attribute_not_exists(sending) OR "
        condition = "attribute_exists(message) AND attribute_not_exists(message_sent) AND "
        condition += f"({first}sending = :seen OR (sending = :mine AND sending_by = :by))"
        values = {":seen": number(seen.attempts), ":mine": number(seen.attempts + 1), ":now": number(now)}
        values[":by"] = text(new_write_id())
        update = "SET sending = :mine, sending_at = :now, sending_by = :by"
        return self._update(endpoint, release, update, condition, {}, values)

    def sending_failed(self, endpoint: str, release: str, seen: Outbox) -> None:
        """Take an attempt back that surely sent nothing; seen: the outbox before it."""
        condition = "attribute_not_exists(message_sent) AND sending = :mine"
        values = {":seen": number(seen.attempts), ":last": number(seen.last), ":mine": number(seen.attempts + 1)}
        self._update(endpoint, release, "SET sending = :seen, sending_at = :last", condition, {}, values)

    def mark_sent(self, endpoint: str, release: str, message_id: str) -> None:
        """Remember that the outcome's message went out."""
        values = {":id": text(message_id)}
        self._update(endpoint, release, "SET message_sent = :id", "attribute_exists(endpoint)", {}, values)

    def request_abort(self, endpoint: str, release: str, who: str) -> bool:
        """Ask a running release to roll back; False when it already has an outcome."""
        return self.update(endpoint, release, abort_requested_by=who[:200])

    def ask_restore(self, endpoint: str, claim: Claim, who: str, expires: int) -> bool:
        """Note that somebody asks for a roll back; expires: seconds since 1970. False when the ask's id was used."""
        values = {":restores": text(claim.restores), ":who": text(who[:200]), ":expires": number(expires)}
        values[":after"] = number(expires + ASK_KEPT_SECONDS)
        update = "SET restores = :restores, asked_by = :who, expires = :expires, delete_after = :after"
        condition = (
            "attribute_not_exists(asked_by) OR (asked_by = :who AND restores = :restores AND expires = :expires)"
        )
        return self._update(endpoint, f"#restore#{claim.ask}", update, condition, {}, values)

    def take_restore(self, endpoint: str, claim: Claim, release: str, now: int) -> str:
        """Use an ask for the release, once; who asked, or empty: never asked, too long ago, or another release's.

        The release that used it gets the same answer again, however late.
        """
        name = f"#restore#{claim.ask}"
        unused = "attribute_not_exists(used_by) AND expires > :now"
        condition = f"restores = :restores AND (used_by = :release OR ({unused}))"
        values = {":restores": text(claim.restores), ":now": number(now), ":release": text(release)}
        if not claim.ask or not self._update(endpoint, name, "SET used_by = :release", condition, {}, values):
            return ""
        return str(self._item(endpoint, name, "asked_by")["asked_by"]["S"])

    def live(self, endpoint: str) -> Live:
        """Return what is live and what is kept beside it, consistently."""
        item = self._item(endpoint, LIVE)
        live, previous, name = (str(item.get(key, {}).get("S", "")) for key in ("live", "previous", "name"))
        retained = tuple(one["S"] for one in item.get("retained", {}).get("L", ()))
        return Live(live, previous, name, retained, int(item.get("fence", {}).get("N", 0)))

    def set_live(self, endpoint: str, release: str, fence: int) -> bool:
        """Make a release the live one under its fence; False when an owner with a greater fence did so already."""
        while (seen := self.live(endpoint)).fence <= fence:
            if self._put_live(endpoint, seen, promoted(seen, release, endpoint, fence)):
                return True
        return False

    def forget_retained(self, endpoint: str, releases: Iterable[str], delete_after: int | None = None) -> None:
        """Forget good releases whose model and config are gone; the live and the previous one stay.

        delete_after: seconds since 1970, from when DynamoDB may delete their records, where those are closed.
        """
        gone = set(releases) - {(seen := self.live(endpoint)).live, seen.previous}
        while not self._put_live(endpoint, seen, seen.without(gone)):
            seen = self.live(endpoint)
            gone -= {seen.live, seen.previous}
        condition = "attribute_exists(#outcome) AND attribute_not_exists(#open)"
        for release in sorted(gone) if delete_after is not None else ():
            names, values = {"#open": "open", "#outcome": "outcome"}, {":after": number(delete_after or 0)}
            self._update(endpoint, release, "SET delete_after = :after", condition, names, values)

    def _put_live(self, endpoint: str, seen: Live, new: Live) -> bool:
        """Write `#live` where it still is as it was seen."""
        if seen == new:
            return True
        values = {":live": text(new.live), ":previous": text(new.previous), ":name": text(new.name)}
        values |= {":retained": {"L": [text(one) for one in new.retained]}, ":fence": number(new.fence)}
        names = {"#name": "name", "#previous": "previous"}
        update = "SET live = :live, #previous = :previous, #name = :name, retained = :retained, fence = :fence"
        condition = "attribute_not_exists(live)"
        if seen.live:
            values |= {":seen": text(seen.live), ":seen_fence": number(seen.fence)}
            values[":seen_retained"] = {"L": [text(one) for one in seen.retained]}
            condition = "live = :seen AND (attribute_not_exists(fence) OR fence = :seen_fence)"
            condition += " AND (attribute_not_exists(retained) OR retained = :seen_retained)"
        return self._update(endpoint, LIVE, update, condition, names, values)

    def first_brought(self, endpoint: str, digest: str, release: str, order: str) -> Brought:
        """Note that a release brings a signed model, and return the earliest one that did, by order of upload."""
        name = f"#signed#{digest}"
        values = {":release": text(release), ":order": text(order)}
        names, condition = {"#order": "order"}, "attribute_not_exists(#order) OR #order > :order"
        update = "SET brought_by = :release, #order = :order"
        if self._update(endpoint, name, update, condition, names, values):
            return Brought(release, order)
        item = self._item(endpoint, name)
        return Brought(item["brought_by"]["S"], item["order"]["S"])


def new_write_id() -> str:
    """Return a name for one write, so that the same write that the SDK sends again is not taken for another's."""
    return uuid4().hex


def setting(fields: Mapping[str, Any]) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Return the update expression that sets these fields of a record, with its names and values."""
    update = "SET " + ", ".join(f"#{name} = :{name}" for name in fields)
    names = {f"#{name}": name for name in fields}
    return update, names, {f":{name}": to_attribute(name, value) for name, value in fields.items()}


def unchanged(name: str, known: Mapping[str, Any]) -> str:
    """Return the condition that a document is as it was read (`:seen_NAME`), or is what is written already."""
    missing = "" if known else f"attribute_not_exists(#{name}) OR "
    return f"({missing}#{name} = :seen_{name} OR #{name} = :{name})"


def _readable(items: Iterable[Item]) -> Iterator[ReleaseRecord]:
    """Read rows as records; one that can't be read costs only itself."""
    for item in items:
        try:
            yield to_record(item)
        except BadRecordError as error:
            logger.error("skipped: %s", error)
