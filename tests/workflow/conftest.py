"""The product, deployed once a session by the real `sam`, and the stories that are played on it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.cloud import LocalCloud
from tests.workflow.stack import ROOT, Models, Stack, deploy
from tests.workflow.stories import Played, play


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that wait for stories last: the others run while the stories are played."""
    items.sort(key=waits_for_stories)
    for item in items:
        if item.path.parent == Path(__file__).parent:
            # the first test waits for the deployment, a later one for the longest story
            item.add_marker(pytest.mark.timeout(900))


def waits_for_stories(item: pytest.Item) -> bool:
    return "played" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session", autouse=True)
def begun(request: pytest.FixtureRequest) -> None:
    """Begin the stories before the first test, where a selected test waits for one."""
    if any(waits_for_stories(item) for item in request.session.items):
        request.getfixturevalue("played")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Real models, made once for all tests."""
    out = tmp_path_factory.mktemp("models")
    command = [sys.executable, "-m", "model", "build", "--out", str(out)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}, check=True, capture_output=True)
    return Models(*((out / f"release-{number}" / "model.tar.gz").read_bytes() for number in (1, 2, 5)))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Build, deploy, and take down again."""
    directory = tmp_path_factory.mktemp("cloud")
    with LocalCloud.start(directory=directory) as cloud:
        deploy(cloud, directory)
        yield Stack(cloud)


@pytest.fixture(scope="session")
def played(stack: Stack, models: Models) -> Iterator[Played]:
    """Play every story; a test waits for the ones it is about."""
    with play(stack, models) as stories:
        yield stories
