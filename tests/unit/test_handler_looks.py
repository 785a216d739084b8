"""PlanRollout, Rehearse and JudgeRollout: what ends a step and what does not, and what is compared again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from modeldrop.artifact.report import ArtifactReport, Check
from modeldrop.aws import language
from modeldrop.clock import iso, moment, now
from modeldrop.errors import ArtifactRejectedError, LeaseLostError, ParkedError, TransientError
from modeldrop.handlers import judge_rollout, plan_rollout, rehearse
from modeldrop.observability import entry
from modeldrop.release.observe import VariantStep
from tests.unit.artifact_builders import golden_lines
from tests.unit.aws_builders import APPROVED, an_error
from tests.unit.rollout_world import ENDPOINT, OLD, OTHER, RELEASE, Rollout, a_rollout, moved, refusal
from tests.unit.test_handler_start import with_faults


@pytest.fixture
def rollout(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rollout]:
    with a_rollout(monkeypatch) as made:
        yield made
