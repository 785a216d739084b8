"""What a step reads of the release table is the same whether an endpoint has 10 releases or 300."""

from __future__ import annotations

import pytest

from benchmarks.records.steps import BIG, Counted, Reads, every_step, fill, newcomer
from modeldrop.aws import clients
from modeldrop.aws.releases import ReleaseTable
from tests.unit.aws_builders import NAME, a_client, a_world, make_table


def costs(monkeypatch: pytest.MonkeyPatch, count: int, others: int) -> dict[str, Reads]:
    with a_world(monkeypatch):
        make_table()
        counted = Counted(a_client("dynamodb"))
        monkeypatch.setattr(clients, "dynamodb", lambda: counted)
        fill(a_client("dynamodb"), NAME, BIG, range(count))
        for number in range(others):
            fill(a_client("dynamodb"), NAME, f"other-{number}", range(2))
        table = ReleaseTable(NAME, counted)  # type: ignore[arg-type]  # it answers as a client does
        return every_step(counted, table, newcomer(table))


def test_no_step_reads_more_where_there_are_more_records(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = costs(monkeypatch, 10, 1), costs(monkeypatch, 300, 5)
    assert few == many
    assert {name: read.items for name, read in many.items()} == {
        "AcquireLease": 2,
        "promote": 3,
        "status": 3,
        "Reconcile": 1,
    }
