"""What an upload may claim to restore, and what may be brought back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modeldrop.errors import ArtifactRejectedError
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.restore import cannot_be_restored, claimed, require_restored

GOOD = ReleaseRecord(
    "e", "e-20261120101500-77ab01", "b", "e/model.tar.gz", "v", outcome="promoted", artifact={"sha256": "9b1d"}
)
AGAIN = ReleaseRecord("e", "e-20261124101500-000000", "b", "e/model.tar.gz", "w", restores=GOOD.release)


@pytest.mark.parametrize("text", ["", "x", GOOD.release + "\n", "../" + GOOD.release, "a" * 500])
def test_a_claim_that_is_no_release_id_is_no_claim(text: str) -> None:
    assert claimed({"modeldrop-restores": text}) == ""


def test_a_claim_is_a_release_id() -> None:
    assert claimed({"modeldrop-restores": GOOD.release}) == GOOD.release


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
