"""What is asked of SageMaker twice is done once: the SDK asks again where an answer was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from modeldrop.aws import endpoints
from tests.unit.aws_builders import Calls, an_error
from tests.unit.rollout_world import ENDPOINT, OTHER, RELEASE, Rollout, a_rollout


@pytest.fixture
def rollout(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rollout]:
    with a_rollout(monkeypatch) as made:
        for kind, name in (("model", RELEASE), ("endpoint-config", RELEASE), ("endpoint", ENDPOINT)):
            made.sagemaker.put(kind, name, RELEASE)
        made.sagemaker.rest(RELEASE)
        yield made


DELETES: dict[str, tuple[str, Callable[[str], bool]]] = {
    "delete_endpoint": (ENDPOINT, lambda release: endpoints.delete_endpoint(ENDPOINT, release)),
    "delete_endpoint_config": (RELEASE, lambda release: endpoints.delete_config(RELEASE, release)),
    "delete_model": (RELEASE, lambda release: endpoints.delete_model(RELEASE, release)),
}


@pytest.mark.parametrize("call", DELETES)
def test_a_delete_that_is_sent_twice_is_done(rollout: Rollout, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    once = getattr(rollout.sagemaker, call)

    def twice(**request: Any) -> None:
        once(**request)
        once(**request)

    monkeypatch.setattr(rollout.sagemaker, call, twice)
    assert DELETES[call][1](RELEASE)


@pytest.mark.parametrize("call", DELETES)
def test_a_delete_of_what_is_another_s_is_not_made(rollout: Rollout, call: str) -> None:
    assert not DELETES[call][1](OTHER)
    assert len(rollout.sagemaker.made["endpoint"]) == 1


def test_a_delete_that_is_refused_while_the_endpoint_serves_is_an_error(rollout: Rollout) -> None:
    calls = Calls(before=lambda _, name: an_error("AccessDenied", 403) if name.endswith("delete_endpoint") else None)
    rollout.world.calls.before = calls.before
    with pytest.raises(ClientError, match="AccessDenied"):
        endpoints.delete_endpoint(ENDPOINT, RELEASE)
