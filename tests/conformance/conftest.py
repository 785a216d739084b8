"""One local cloud for the whole session of conformance tests."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from localcloud.cloud import LocalCloud
from tests.conformance.hosting import PATIENCE_SECONDS, hosting, hosting_session, many, serving_models, steady  # noqa: F401 fixtures

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cloud() -> Iterator[LocalCloud]:
    """The one local cloud; tests keep apart by using names of their own (`unique`)."""
    with LocalCloud.start() as running:
        yield running


@pytest.fixture(scope="session")
def client(cloud: LocalCloud) -> Callable[[str], Any]:
    """Return boto3 clients of the local cloud, one a service."""
    clients: dict[str, Any] = {}

    def of(service: str) -> Any:
        if service not in clients:
            clients[service] = boto3.client(
                service,
                endpoint_url=cloud.url,
                region_name="us-east-1",
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=Config(retries={"max_attempts": 0}, read_timeout=120),
            )
        return clients[service]

    return of


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Return names that no other test uses."""
    return lambda stem: f"{stem}-{next(_numbers)}"


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    """Ask until the answer is true (and return it), or fail with what was last seen."""

    def ask(question: Callable[[], Any], seconds: float = PATIENCE_SECONDS, every: float = 0.05) -> Any:
        deadline = time.monotonic() + seconds
        while not (answer := question()):
            if time.monotonic() > deadline:
                pytest.fail(f"not within {seconds} s; last answer {answer!r}")
            time.sleep(every)
        return answer

    return ask
