"""Signed and unsigned artifacts, dropped for real, the key in Parameter Store."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from modeldrop.release.record import ReleaseRecord
from tests.unit.artifact_builders import good_members, tar_gz
from tests.unit.test_artifact_signature import a_bundle, a_key, a_statement, public
from tests.workflow.conftest import Stack

POLICY = """
endpoint: {{instance_type: ml.c5.large, instance_count: 1}}
gates: {{rehearsal: "off"}}
signature: {{required: true, key: "ssm:/modeldrop/{}"}}
"""
FILES = good_members()
# case: (members of the archive, bundle, name of the key, expected code)
CASES = {
    "unsigned": (FILES, None, "signing-key", "SIGNATURE_MISSING"),
    "tampered": (FILES | {"1/assets/x": b"x"}, a_bundle(a_statement(FILES)), "signing-key", "SIGNATURE_ADDED"),
    "wrong-key": (FILES, a_bundle(a_statement(FILES), a_key(2)), "signing-key", "SIGNATURE_INVALID"),
    "truncated": (FILES, a_bundle(a_statement(FILES))[:200], "signing-key", "SIGNATURE_BUNDLE"),
    "no-key": (FILES, a_bundle(a_statement(FILES)), "nobody", "SIGNATURE_KEY"),
    "signed": (FILES, a_bundle(a_statement(FILES)), "signing-key", ""),
}


@pytest.fixture(scope="module")
def ended(stack: Stack) -> Iterator[dict[str, ReleaseRecord]]:
    """Drop every case: policy, signature, then the artifact."""
    key = public(a_key()).decode()
    stack.client("ssm").put_parameter(Name="/modeldrop/signing-key", Value=key, Type="String")

    def drop(case: str) -> tuple[str, ReleaseRecord]:
        members, bundle, name, _ = CASES[case]
        stack.upload(f"sig-{case}/rollout.yaml", POLICY.format(name).encode())
        if bundle is not None:
            stack.upload(f"sig-{case}/model.tar.gz.sig", bundle)
        return case, stack.finished(f"sig-{case}", stack.drop(f"sig-{case}", tar_gz(members)))

    with ThreadPoolExecutor(3) as pool:
        yield dict(pool.map(drop, CASES))


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case][3]])
def test_what_the_key_did_not_sign_is_rejected_before_anything_is_made(
    stack: Stack, ended: dict[str, ReleaseRecord], case: str
) -> None:
    assert ended[case].outcome == "rejected"
    assert CASES[case][3] in stack.outcome_messages(ended[case].release)[0]["text"]
    assert stack.endpoint(ended[case].endpoint) is None


def test_what_the_key_signed_goes_on(ended: dict[str, ReleaseRecord]) -> None:
    # the builders' graph is not one that TensorFlow runs, so it ends later
    assert ended["signed"].artifact["signature"]["files"] == len(FILES)
    assert "SIGNATURE" not in " ".join(ended["signed"].reasons)
