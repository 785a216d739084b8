"""`modeldrop doctor`: what the quota of a fleet's instance type says before the first drop."""

from __future__ import annotations

from typing import Any

import pytest

from cli.commands.doctor import check_quota
from tests.unit.rollout_builders import GPU
from tests.unit.rollout_world import Pages, refusal


class Account:
    """An account whose quotas are as given, or may not be read."""

    def __init__(self, quotas: list[dict[str, Any]] | None) -> None:
        self.quotas = quotas

    def client(self, _: str) -> Any:
        return self

    def get_paginator(self, _: str) -> Pages:
        return Pages(self.list_service_quotas)

    def list_service_quotas(self, **_: Any) -> dict[str, Any]:
        if self.quotas is None:
            raise refusal("AccessDeniedException", "not authorized")
        return {"Quotas": self.quotas}


@pytest.mark.parametrize(
    ("quotas", "result"),
    [
        ([{"QuotaName": f"{GPU} for endpoint usage", "Value": 4.0}], "ok"),
        ([{"QuotaName": f"{GPU} for endpoint usage", "Value": 3.0}], "fail"),
        ([{"QuotaName": "ml.p4d.24xlarge for endpoint usage", "Value": 9.0}], "warn"),
        (None, "warn"),
    ],
)
def test_a_quota_must_hold_both_fleets(quotas: list[dict[str, Any]] | None, result: str) -> None:
    account: Any = Account(quotas)
    assert [finding.result for finding in check_quota(account, GPU, 4)] == [result]
