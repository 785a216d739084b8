"""The product, deployed once a session by the real `sam`, and the stories that are played on it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from localcloud.cloud import LocalCloud
from tests.workflow.stack import ROOT, Models, Stack, deploy
from tests.workflow.stories import Played, play


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Two real models."""
    out = tmp_path_factory.mktemp("models")
    command = [sys.executable, "-m", "model", "build", "--out", str(out)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}, check=True, capture_output=True)
    first, second = ((out / name / "model.tar.gz").read_bytes() for name in ("release-1", "release-2"))
    return first, second


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
