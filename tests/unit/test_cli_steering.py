"""`modeldrop abort` finds the release that changes the endpoint, however many were dropped after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from cli.commands.steering import _under_way
from cli.failures import CommandError
from modeldrop.aws.releases import ReleaseTable
from tests.unit.aws_builders import a_release, a_table

ONE, TWO, THREE = (a_release(number) for number in (1, 2, 3))


@pytest.fixture
def table() -> Iterator[ReleaseTable]:
    with a_table() as made:
        yield made


def under_way(table: ReleaseTable) -> str:
    stack: Any = SimpleNamespace(releases=lambda: table)
    return _under_way(stack, "sentiment").release


def test_the_owner_of_the_lease_is_meant_behind_any_number_of_newer_ones(table: ReleaseTable) -> None:
    for number in range(1, 25):
        table.create(a_release(number))
    table.acquire("sentiment", ONE.release, "arn", table.lease("sentiment"), 0)
    assert under_way(table) == ONE.release


def test_the_one_that_waits_for_approval_is_meant_where_nobody_owns_the_endpoint(table: ReleaseTable) -> None:
    for record in (ONE, TWO, THREE):
        table.create(record)
    table.note_approval("sentiment", TWO.release, TWO.order)
    assert under_way(table) == TWO.release


def test_else_the_newest_that_began_is_meant(table: ReleaseTable) -> None:
    for record in (ONE, replace(TWO, phase="validating"), THREE):
        table.create(record)
    assert under_way(table) == TWO.release


def test_an_owner_that_ended_is_not_meant(table: ReleaseTable) -> None:
    table.create(ONE)
    table.acquire("sentiment", ONE.release, "arn", table.lease("sentiment"), 0)
    table.finish(replace(ONE, outcome="failed"), {})
    with pytest.raises(CommandError, match="no release of sentiment is under way"):
        under_way(table)
