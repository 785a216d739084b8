"""What an upload may claim to restore, and what may be brought back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modeldrop.errors import ArtifactRejectedError
from modeldrop.policy.model import QualityPolicy
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.restore import (
    Claim,
    as_metadata,
    cannot_be_restored,
    claimed,
    in_force,
    is_roll_back,
    require_asked,
    require_restored,
)
from tests.unit.rollout_builders import a_policy

GOOD = ReleaseRecord(
    "e", "e-20261120101500-77ab01", "b", "e/model.tar.gz", "v", outcome="promoted", artifact={"sha256": "9b1d"}
)
CLAIM = ReleaseRecord("e", "e-20261124101500-000000", "b", "e/model.tar.gz", "w", restores=GOOD.release)
AGAIN = replace(CLAIM, restore_asked_by="an operator")
ASK = "0123456789abcdef" * 2


@pytest.mark.parametrize("text", ["", "x", GOOD.release + "\n", "../" + GOOD.release, "a" * 500])
def test_a_claim_that_is_no_release_id_is_no_claim(text: str) -> None:
    assert claimed({"modeldrop-restores": text, "modeldrop-ask": ASK}) == Claim()


@pytest.mark.parametrize("ask", ["", "x", ASK + "0", ASK.upper(), "#lease"])
def test_what_is_no_id_of_an_ask_belongs_to_no_ask(ask: str) -> None:
    assert claimed({"modeldrop-restores": GOOD.release, "modeldrop-ask": ask}) == Claim(GOOD.release)


def test_a_claim_is_a_release_and_an_ask() -> None:
    claim = Claim(GOOD.release, ASK)
    assert claimed(as_metadata(claim)) == claim


def test_metadata_alone_is_no_roll_back() -> None:
    assert not is_roll_back(CLAIM)
    with pytest.raises(ArtifactRejectedError, match="nobody asked"):
        require_asked(CLAIM)


def test_a_plain_upload_is_no_roll_back() -> None:
    plain = replace(CLAIM, restores="")
    assert not is_roll_back(plain)
    require_asked(plain)


def test_what_an_operator_asked_for_is_a_roll_back() -> None:
    assert is_roll_back(AGAIN)
    require_asked(AGAIN)


def test_only_a_good_release_that_is_not_live_comes_back() -> None:
    assert cannot_be_restored(GOOD, "other") == ""
    assert "live already" in cannot_be_restored(GOOD, GOOD.release)
    assert "never good: it is rolled_back" in cannot_be_restored(replace(GOOD, outcome="rolled_back"), None)
    assert "not known" in cannot_be_restored(replace(GOOD, artifact={}), None)


def test_the_claimed_releases_own_artifact_passes() -> None:
    require_restored(AGAIN, GOOD, "9b1d")
    require_restored(replace(AGAIN, restores=""), None, "any")


@pytest.mark.parametrize("target", [None, replace(GOOD, outcome="rejected"), replace(GOOD, artifact={"sha256": "0"})])
def test_a_false_claim_is_refused(target: ReleaseRecord | None) -> None:
    with pytest.raises(ArtifactRejectedError, match="not the artifact of that good release"):
        require_restored(AGAIN, target, "9b1d")


def test_an_earlier_model_that_answers_otherwise_is_not_rolled_back_for_that() -> None:
    policy = a_policy(quality=QualityPolicy("label"))
    assert in_force(policy, AGAIN).judge.observe == ("drift",)
    assert in_force(in_force(policy, AGAIN), AGAIN).judge.observe == ("drift",)
    assert in_force(policy, CLAIM) == policy
    assert in_force(a_policy(), AGAIN) == a_policy()
