"""Signed and unsigned artifacts, dropped for real, the key in Parameter Store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256

import pytest
from ecdsa import VerifyingKey

from modeldrop.release.record import ReleaseRecord
from modeldrop.release.restore import Claim, as_metadata
from tests.unit.artifact_builders import good_members, tar_gz
from tests.unit.test_artifact_signature import a_bundle, a_key, a_statement, public
from tests.workflow.stack import Stack

POLICY = """
endpoint: {{instance_type: ml.c5.large, instance_count: 1}}
gates: {{rehearsal: "off"}}
signature: {{required: true, key: "ssm:/modeldrop/{}"}}
"""
FILES = good_members()
ONCE, LIVE = "20200101000000-000000", "20210101000000-000000"
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


class KmsKey:
    """Signs as the real key would, whose private half nobody has."""

    def __init__(self, stack: Stack) -> None:
        self._kms = stack.client("kms")
        self.id = self._kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]

    def get_verifying_key(self) -> VerifyingKey:
        return VerifyingKey.from_der(self._kms.get_public_key(KeyId=self.id)["PublicKey"])

    def sign_deterministic(self, message: bytes, **_: object) -> bytes:
        answer = self._kms.sign(KeyId=self.id, Message=message, MessageType="RAW", SigningAlgorithm="ECDSA_SHA_256")
        return bytes(answer["Signature"])


def test_a_key_of_kms_vouches_too(stack: Stack) -> None:
    key = KmsKey(stack)
    policy = POLICY.format("x").replace("ssm:/modeldrop/x", f"kms:{key.id}")
    for name, bundle in (("right", a_bundle(a_statement(FILES), key)), ("wrong", a_bundle(a_statement(FILES)))):
        stack.upload(f"kms-{name}/model.tar.gz.sig", bundle)
        record = stack.finished(f"kms-{name}", stack.drop(f"kms-{name}", tar_gz(FILES), policy))
        assert ("SIGNATURE_INVALID" in " ".join(record.reasons)) == (name == "wrong")


@pytest.mark.parametrize("older", ["refuse", "allow", "roll back"])
def test_a_replayed_older_version_is_rejected_unless_the_policy_or_a_roll_back_wants_it(
    stack: Stack, ended: dict[str, ReleaseRecord], older: str
) -> None:
    endpoint, archive = f"replay-{older.replace(' ', '-')}", tar_gz(FILES)
    digest = ended["signed"].artifact["signature"]["digest"]
    for order, signed in ((ONCE, digest), (LIVE, "a newer model")):
        artifact = {"signature": {"digest": signed}, "sha256": sha256(archive).hexdigest()}
        done = ReleaseRecord(endpoint, f"{endpoint}-{order}", "b", "k", "v", order=order, artifact=artifact)
        stack.table.create(replace(done, outcome="promoted", phase="done", uploaded_at=order))
        stack.table.first_brought(endpoint, signed, done.release, order)
    stack.table.set_live(endpoint, f"{endpoint}-{LIVE}", 0)
    stack.upload(f"{endpoint}/model.tar.gz.sig", a_bundle(a_statement(FILES)))
    policy = POLICY.format("signing-key")
    if older == "allow":
        policy = policy.replace("required: true", "required: true, older: allow")
    claim = Claim(f"{endpoint}-{ONCE}", "a" * 32)
    if older == "roll back":
        stack.table.ask_restore(endpoint, claim, "an operator", int(time.time()) + 60)
    metadata = as_metadata(claim) if older == "roll back" else {}
    record = stack.finished(endpoint, stack.drop(endpoint, archive, policy, metadata=metadata))
    told = stack.outcome_messages(record.release)[0]["text"]
    assert ("SIGNATURE_REPLAYED" in told) == (older == "refuse")
    if older == "refuse":
        assert record.outcome == "rejected"
        assert f"{endpoint}-{ONCE}" in told
    noted = f"{endpoint}-{ONCE} had this model already, and {endpoint}-{LIVE} is live since"
    assert (noted in record.artifact.get("warnings", ())) == (older == "roll back")


def test_what_the_key_signed_goes_on(ended: dict[str, ReleaseRecord]) -> None:
    # the builders' graph is not one that TensorFlow runs, so it ends later
    assert ended["signed"].artifact["signature"]["files"] == len(FILES)
    assert "SIGNATURE" not in " ".join(ended["signed"].reasons)
