"""The release table over moto: every write that decides is conditional, and a bad record costs only itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from modeldrop.aws.releases import Brought, OpenRelease, ReleaseTable
from modeldrop.aws.rows import BadRecordError
from modeldrop.errors import LeaseLostError, TransientError
from modeldrop.release.lease import LEASE_SECONDS, Lease
from modeldrop.release.live import Live
from modeldrop.release.outbox import Outbox
from modeldrop.release.restore import Claim
from tests.unit.aws_builders import a_release, a_table

ENDPOINT = "sentiment"
ONE, TWO, THREE = (a_release(number) for number in (1, 2, 3))
NOW = 1_000_000


@pytest.fixture
def table() -> Iterator[ReleaseTable]:
    with a_table() as made:
        yield made


def taken(table: ReleaseTable, release: str, arn: str = "arn:own", now: int = NOW) -> int:
    fence = table.acquire(ENDPOINT, release, arn, table.lease(ENDPOINT), now)
    assert fence is not None
    return fence


def nobody_runs(_: str) -> bool:
    return False


def finished(table: ReleaseTable, record: Any, message: str = "said") -> None:
    table.create(record)
    done = replace(record, outcome="promoted", finished_at="2026-11-23T21:00:00.000Z")
    assert table.finish(done, {"subject": message, "body": "b", "severity": "info"})


def spoil(table: ReleaseTable, release: str, update: str, values: dict[str, Any] | None = None) -> None:
    request: dict[str, Any] = {"ExpressionAttributeValues": values} if values else {}
    key = {"endpoint": {"S": ENDPOINT}, "release": {"S": release}}
    table._dynamodb.update_item(TableName=table._table, Key=key, UpdateExpression=update, **request)


# records


def test_what_is_written_is_read_again(table: ReleaseTable) -> None:
    record = replace(ONE, label="v3", size_bytes=7, reasons=("a",), problems=({"what": "b"},), plan={"x": [1]})
    assert table.create(record)
    assert table.get("SENTIMENT", record.release) == record


def test_a_duplicate_event_writes_nothing(table: ReleaseTable) -> None:
    assert table.create(ONE)
    assert not table.create(replace(ONE, label="other"))
    assert table.require(ENDPOINT, ONE.release).label == ""


def test_the_endpoint_is_listed_before_its_record_is_there(table: ReleaseTable, monkeypatch: Any) -> None:
    written = table._put_new
    calls = iter([True, False])

    def dies_second(item: Any) -> bool:
        if not next(calls):
            raise KeyboardInterrupt
        return written(item)

    monkeypatch.setattr(table, "_put_new", dies_second)
    with pytest.raises(KeyboardInterrupt):
        table.create(ONE)
    assert table.endpoints() == [ENDPOINT]
    assert not table.exists(ENDPOINT, ONE.release)


def test_the_newest_come_first_and_rows_of_other_kinds_not_at_all(table: ReleaseTable) -> None:
    for record in (TWO, ONE, THREE):
        table.create(record)
    table.announce(ENDPOINT, "1")
    table.set_live(ENDPOINT, ONE.release, 1)
    table.first_brought(ENDPOINT, "d" * 64, ONE.release, ONE.order)
    assert [one.release for one in table.recent(ENDPOINT, 2)] == [THREE.release, TWO.release]
    assert len(table.recent(ENDPOINT, 10, consistent=True)) == 3


def test_a_summary_leaves_out_the_documents(table: ReleaseTable) -> None:
    record = replace(ONE, plan={"x": 1}, artifact={"y": 2}, evidence={"z": 3}, reasons=("why",), headline="so")
    table.create(record)
    assert table.recent(ENDPOINT, 1, summary=True) == [replace(record, plan={}, artifact={}, evidence={})]


@pytest.mark.parametrize(
    ("update", "values", "attribute"),
    [
        ("REMOVE version_id", None, "version_id"),
        ("SET policy = :bad", {":bad": {"S": "{"}}, "policy"),
        ("SET reasons = :bad", {":bad": {"S": '{"a": 1}'}}, "reasons"),
        ("SET size_bytes = :bad", {":bad": {"S": "many"}}, "size_bytes"),
    ],
)
def test_a_bad_record_costs_only_itself_and_is_told(
    table: ReleaseTable, caplog: pytest.LogCaptureFixture, update: str, values: Any, attribute: str
) -> None:
    for record in (ONE, TWO, THREE):
        table.create(record)
    spoil(table, TWO.release, update, values)
    with pytest.raises(BadRecordError, match=f"{TWO.release} of endpoint sentiment can't be read: {attribute}"):
        table.get(ENDPOINT, TWO.release)
    with caplog.at_level(logging.ERROR):
        assert [one.release for one in table.recent(ENDPOINT, 2)] == [THREE.release, ONE.release]
    assert TWO.release in caplog.text


def test_an_update_needs_its_fence(table: ReleaseTable) -> None:
    table.create(replace(ONE, fence=2))
    assert not table.update(ENDPOINT, ONE.release, if_fence=1, phase="canary")
    assert not table.update(ENDPOINT, ONE.release, if_fence=3, phase="canary")
    assert table.update(ENDPOINT, ONE.release, if_fence=2, phase="canary")


def test_nothing_changes_after_the_outcome(table: ReleaseTable) -> None:
    finished(table, ONE)
    assert not table.update(ENDPOINT, ONE.release, phase="canary")
    again = replace(ONE, outcome="failed")
    assert not table.finish(again, {})
    assert table.require(ENDPOINT, ONE.release).outcome == "promoted"


def test_a_document_that_grows_is_changed_only_as_it_was_read(table: ReleaseTable) -> None:
    table.create(ONE)
    read = table.require(ENDPOINT, ONE.release)
    table.change(read, fenced=True, rollout={"scaling": {"min": 1}})
    for late in ({"started_at": "late"}, {}):
        with pytest.raises(TransientError, match="by another function"):
            table.change(read, fenced=True, rollout=late)
    assert table.require(ENDPOINT, ONE.release).rollout == {"scaling": {"min": 1}}


def test_the_same_change_twice_is_one_change(table: ReleaseTable) -> None:
    table.create(ONE)
    read = table.require(ENDPOINT, ONE.release)
    for _ in range(2):
        assert table.change(read, fenced=False, artifact={"a": 1.5}) == replace(read, artifact={"a": 1.5})


def test_a_change_needs_its_fence_and_a_release_that_has_not_ended(table: ReleaseTable) -> None:
    table.create(replace(ONE, fence=2))
    with pytest.raises(LeaseLostError):
        table.change(replace(ONE, fence=1), fenced=True, rollout={"a": 1})
    table.change(replace(ONE, fence=1), fenced=False, rollout={"a": 1})
    table.finish(replace(ONE, outcome="failed", rollout={"a": 1}), {})
    with pytest.raises(LeaseLostError):
        table.change(replace(ONE, rollout={"a": 1}), fenced=False, rollout={"a": 2})


def test_an_outcome_is_not_written_over_what_it_was_not_decided_from(table: ReleaseTable) -> None:
    table.create(ONE)
    table.change(ONE, fenced=False, rollout={"scaling": {"min": 1}})
    done = replace(ONE, outcome="failed", rollout={"alarms_fired": []})
    with pytest.raises(TransientError):
        table.finish(done, {})
    assert table.require(ENDPOINT, ONE.release).outcome is None
    assert table.finish(done, {}, known={"scaling": {"min": 1}})


def test_a_mark_is_set_once(table: ReleaseTable) -> None:
    table.create(ONE)
    assert not table.marked(ENDPOINT, ONE.release, "told")
    assert table.once(ENDPOINT, ONE.release, "told")
    assert not table.once(ENDPOINT, ONE.release, "told")
    assert table.marked(ENDPOINT, ONE.release, "told")


# open releases


def test_a_release_is_open_from_its_record_until_it_is_closed(table: ReleaseTable) -> None:
    table.create(replace(ONE, execution_arn="arn:1"))
    (seen,) = table.open_releases()
    assert seen == OpenRelease(ENDPOINT, ONE.release, "arn:1", admitted_at=ONE.admitted_at)
    done = replace(ONE, outcome="rejected", finished_at="2026-11-23T21:00:00.000Z")
    table.finish(done, {"subject": "s", "body": "b", "severity": "info"})
    assert not table.close(ENDPOINT, ONE.release, 99), "nobody was told yet"
    table.mark_sent(ENDPOINT, ONE.release, "m1")
    (seen,) = table.open_releases()
    assert (seen.outcome, seen.message_sent, seen.finished_at) == ("rejected", "m1", done.finished_at)
    assert table.close(ENDPOINT, ONE.release, 99)
    assert list(table.open_releases()) == []
    assert table._item(ENDPOINT, ONE.release)["delete_after"] == {"N": "99"}


def test_a_record_that_something_keeps_is_never_deleted_by_time(table: ReleaseTable) -> None:
    for fence, record in enumerate((ONE, TWO, THREE), 1):
        finished(table, record)
        table.mark_sent(ENDPOINT, record.release, "m")
        table.set_live(ENDPOINT, record.release, fence)
    for record in (ONE, TWO, THREE):
        assert table.close(ENDPOINT, record.release, 99)
        assert "delete_after" not in table._item(ENDPOINT, record.release)
    table.forget_retained(ENDPOINT, [ONE.release, TWO.release, THREE.release], 77)
    assert table.live(ENDPOINT).retained == (THREE.release, TWO.release)
    assert table._item(ENDPOINT, ONE.release)["delete_after"] == {"N": "77"}
    assert "delete_after" not in table._item(ENDPOINT, TWO.release)


def test_a_forgotten_release_that_is_open_is_kept_until_it_is_closed(table: ReleaseTable) -> None:
    for fence, record in enumerate((ONE, TWO, THREE), 1):
        finished(table, record)
        table.set_live(ENDPOINT, record.release, fence)
    table.forget_retained(ENDPOINT, [ONE.release], 77)
    assert "delete_after" not in table._item(ENDPOINT, ONE.release)


# what is live


def test_the_live_release_is_kept_with_those_before_it(table: ReleaseTable) -> None:
    assert table.live(ENDPOINT) == Live()
    for fence, record in enumerate((ONE, TWO, THREE, TWO), 1):
        assert table.set_live(ENDPOINT, record.release, fence)
    retained = (TWO.release, THREE.release, ONE.release)
    assert table.live("Sentiment") == Live(TWO.release, THREE.release, ENDPOINT, retained, 4)


def test_an_old_fence_puts_no_old_release_back(table: ReleaseTable) -> None:
    assert table.set_live(ENDPOINT, TWO.release, 2)
    assert not table.set_live(ENDPOINT, ONE.release, 1)
    assert table.live(ENDPOINT).live == TWO.release


def test_an_old_fence_is_refused_for_the_same_release_too(table: ReleaseTable) -> None:
    assert table.set_live(ENDPOINT, ONE.release, 3)
    assert not table.set_live(ENDPOINT, ONE.release, 2)
    assert table.set_live(ENDPOINT, ONE.release, 3)
    assert table.live(ENDPOINT).previous == ""


def test_two_that_set_the_live_release_at_once_lose_nothing(table: ReleaseTable, monkeypatch: Any) -> None:
    table.set_live(ENDPOINT, ONE.release, 1)
    read, late = table.live, iter([True])

    def somebody_is_quicker(endpoint: str) -> Live:
        seen = read(endpoint)
        if next(late, False):
            ReleaseTable(table._table, table._dynamodb).set_live(ENDPOINT, THREE.release, 3)
        return seen

    monkeypatch.setattr(table, "live", somebody_is_quicker)
    assert not table.set_live(ENDPOINT, TWO.release, 2)
    assert read(ENDPOINT).retained == (THREE.release, ONE.release)


# the lease


def test_a_lease_is_taken_once(table: ReleaseTable) -> None:
    seen = table.lease(ENDPOINT)
    assert table.acquire(ENDPOINT, "a", "arn:a", seen, NOW) == 1
    assert table.acquire(ENDPOINT, "b", "arn:b", seen, NOW) is None
    assert table.lease(ENDPOINT) == Lease("a", "arn:a", 1, NOW + LEASE_SECONDS)


def test_only_the_owner_s_fence_renews(table: ReleaseTable) -> None:
    assert taken(table, "a") == 1
    table.release_lease(ENDPOINT, "a", 1)
    assert not table.renew(ENDPOINT, 1, NOW), "it was given back"
    assert taken(table, "b") == 2
    assert not table.renew(ENDPOINT, 1, NOW)
    assert not table.renew(ENDPOINT, 3, NOW)
    assert table.renew(ENDPOINT, 2, NOW + 5)
    assert table.lease(ENDPOINT).expires == NOW + 5 + LEASE_SECONDS


def test_nobody_frees_another_s_lease(table: ReleaseTable) -> None:
    taken(table, "a")
    assert not table.release_lease(ENDPOINT, "b", 1)
    assert not table.release_lease(ENDPOINT, "a", 2)
    assert table.lease(ENDPOINT).owner == "a"


def test_a_recovery_holds_what_its_release_holds_and_is_named(table: ReleaseTable) -> None:
    fence = taken(table, "a")
    assert table.hold(ENDPOINT, "a", fence, "arn:recovery", NOW + 9, nobody_runs) == fence
    lease = table.lease(ENDPOINT)
    assert (lease.execution_arn, lease.expires) == ("arn:recovery", NOW + 9 + LEASE_SECONDS)


def test_a_recovery_holds_a_lease_whose_fence_its_record_missed(table: ReleaseTable) -> None:
    fence = taken(table, "a")
    assert table.hold(ENDPOINT, "a", 0, "arn:recovery", NOW, nobody_runs) == fence


def test_a_recovery_takes_a_free_lease_with_a_new_fence(table: ReleaseTable) -> None:
    fence = taken(table, "a")
    table.release_lease(ENDPOINT, "a", 1)
    assert table.hold(ENDPOINT, "a", fence, "arn:recovery", NOW, nobody_runs) == fence + 1


@pytest.mark.parametrize(
    ("passed", "runs", "held"), [(0, False, None), (LEASE_SECONDS, True, None), (LEASE_SECONDS, False, 2)]
)
def test_a_recovery_takes_another_s_lease_only_when_it_expired_and_nobody_runs(
    table: ReleaseTable, passed: int, runs: bool, held: int | None
) -> None:
    taken(table, "other", "arn:other")
    asked = []

    def owner_runs(arn: str) -> bool:
        asked.append(arn)
        return runs

    assert table.hold(ENDPOINT, "a", 0, "arn:recovery", NOW + passed, owner_runs) == held
    assert asked == (["arn:other"] if passed else [])


def test_a_recovery_that_began_is_not_robbed_by_who_thought_the_owner_dead(table: ReleaseTable) -> None:
    fence = taken(table, "a")
    seen, late = table.lease(ENDPOINT), NOW + LEASE_SECONDS
    assert table.hold(ENDPOINT, "a", fence, "arn:recovery", late, nobody_runs) == fence
    assert table.acquire(ENDPOINT, "b", "arn:b", seen, late) is None


def test_a_newer_release_that_waits_is_announced_and_an_older_one_does_not_hide_it(table: ReleaseTable) -> None:
    table.announce(ENDPOINT, "2")
    table.announce(ENDPOINT, "1")
    assert table.lease(ENDPOINT).newest == "2"


def test_the_newest_approval_is_noted_until_it_is_over(table: ReleaseTable) -> None:
    table.note_approval(ENDPOINT, TWO.release, TWO.order)
    table.note_approval(ENDPOINT, ONE.release, ONE.order)
    lease = table.lease(ENDPOINT)
    assert (lease.approving, lease.approving_order) == (TWO.release, TWO.order)
    table.forget_approval(ENDPOINT, ONE.release)
    assert table.lease(ENDPOINT).approving == TWO.release
    table.forget_approval(ENDPOINT, TWO.release)
    assert table.lease(ENDPOINT).approving == ""


# the outbox


def test_a_message_waits_until_it_is_sent(table: ReleaseTable) -> None:
    table.create(ONE)
    assert table.outbox(ENDPOINT, ONE.release) is None
    table.finish(replace(ONE, outcome="failed"), {"subject": "s"})
    assert table.outbox(ENDPOINT, ONE.release) == Outbox({"subject": "s"})
    table.mark_sent(ENDPOINT, ONE.release, "m")
    assert table.outbox(ENDPOINT, ONE.release) is None


def test_two_that_begin_at_once_are_one_attempt(table: ReleaseTable) -> None:
    finished(table, ONE)
    seen = table.outbox(ENDPOINT, ONE.release)
    assert seen is not None
    assert table.begin_sending(ENDPOINT, ONE.release, seen, NOW)
    assert not table.begin_sending(ENDPOINT, ONE.release, seen, NOW)
    assert table.outbox(ENDPOINT, ONE.release) == Outbox(seen.message, 1, NOW)


def test_an_attempt_that_surely_failed_is_taken_back(table: ReleaseTable) -> None:
    finished(table, ONE)
    seen = table.outbox(ENDPOINT, ONE.release)
    assert seen is not None
    table.begin_sending(ENDPOINT, ONE.release, seen, NOW)
    table.sending_failed(ENDPOINT, ONE.release, seen)
    again = table.outbox(ENDPOINT, ONE.release)
    assert again == Outbox(seen.message, 0, 0)
    assert table.begin_sending(ENDPOINT, ONE.release, again, NOW)


def test_nothing_begins_once_it_was_sent(table: ReleaseTable) -> None:
    finished(table, ONE)
    seen = table.outbox(ENDPOINT, ONE.release)
    assert seen is not None
    table.mark_sent(ENDPOINT, ONE.release, "m")
    assert not table.begin_sending(ENDPOINT, ONE.release, seen, NOW)


# asks and signed models


def test_an_ask_is_used_by_one_release_and_by_that_one_again_however_late(table: ReleaseTable) -> None:
    claim = Claim(ONE.release, "a" * 32)
    assert table.ask_restore(ENDPOINT, claim, "who", NOW + 10)
    assert not table.ask_restore(ENDPOINT, claim, "other", NOW + 10)
    assert table.take_restore(ENDPOINT, claim, TWO.release, NOW) == "who"
    assert table.take_restore(ENDPOINT, claim, THREE.release, NOW) == ""
    assert table.take_restore(ENDPOINT, claim, TWO.release, NOW + 99) == "who"


def test_an_ask_of_too_long_ago_is_no_ask(table: ReleaseTable) -> None:
    claim = Claim(ONE.release, "a" * 32)
    table.ask_restore(ENDPOINT, claim, "who", NOW)
    assert table.take_restore(ENDPOINT, claim, TWO.release, NOW) == ""


def test_the_first_that_brought_a_signed_model_is_known_whoever_is_looked_at_first(table: ReleaseTable) -> None:
    digest = "d" * 64
    assert table.first_brought(ENDPOINT, digest, TWO.release, TWO.order) == Brought(TWO.release, TWO.order)
    assert table.first_brought(ENDPOINT, digest, THREE.release, THREE.order) == Brought(TWO.release, TWO.order)
    assert table.first_brought(ENDPOINT, digest, ONE.release, ONE.order) == Brought(ONE.release, ONE.order)


def test_what_is_no_condition_is_raised(table: ReleaseTable) -> None:
    with pytest.raises(ClientError):
        ReleaseTable("nowhere", table._dynamodb).create(ONE)


# a write whose answer was lost, and which the SDK sends again, is not another's


@pytest.fixture
def sent_twice(table: ReleaseTable, monkeypatch: pytest.MonkeyPatch) -> ReleaseTable:
    write = table._write

    def twice(call: Any) -> bool:
        write(call)
        return write(call)

    monkeypatch.setattr(table, "_write", twice)
    return table


def test_what_the_sdk_sends_again_is_not_taken_for_another_s(sent_twice: ReleaseTable) -> None:
    table, claim = sent_twice, Claim(ONE.release, "a" * 32)
    finished_at = replace(ONE, outcome="failed", finished_at="2026-11-23T21:00:00.000Z")
    table.create(ONE)
    assert table.change(ONE, fenced=True, rollout={"a": 1}).rollout == {"a": 1}
    assert table.once(ENDPOINT, ONE.release, "told")
    assert table.ask_restore(ENDPOINT, claim, "who", NOW + 10)
    assert table.take_restore(ENDPOINT, claim, ONE.release, NOW) == "who"
    assert table.wait_for_token(ENDPOINT, ONE.release, "token", 0)
    assert table.first_brought(ENDPOINT, "d" * 64, ONE.release, "1").release == ONE.release
    assert table.set_live(ENDPOINT, ONE.release, 1)
    table.finish(finished_at, {"subject": "s"}, known={"a": 1})
    seen = table.outbox(ENDPOINT, ONE.release)
    assert seen is not None
    assert table.begin_sending(ENDPOINT, ONE.release, seen, NOW)
    assert not table.once(ENDPOINT, ONE.release, "told")
    assert not table.begin_sending(ENDPOINT, ONE.release, seen, NOW)
