"""Each test is named after the attack, or the accident, that it stops."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from ecdsa import NIST256p, NIST384p, SECP256k1, SigningKey
from ecdsa.util import sigencode_der
from hypothesis import given, settings
from hypothesis import strategies as st

from modeldrop.artifact.inspect import inspect_artifact
from modeldrop.artifact.signature import (
    BUNDLE_TYPE,
    MAX_BUNDLE_BYTES,
    PAYLOAD_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    FileDigests,
    _hint,
    check_files,
    verify_bundle,
)
from modeldrop.errors import ArtifactRejectedError
from tests.unit.artifact_builders import good_members, tar_gz

GOLDEN = Path(__file__).parent / "golden" / "signature"
# what the real package signed for the golden bundles: its model directory held exactly these
GOLDEN_FILES = {
    ".github/workflow.yml": "hooks\n",
    "1/saved_model.pb": "graph\n",
    "1/variables/variables.index": "index\n",
}


def a_key(seed: int = 1, curve: Any = NIST256p) -> SigningKey:
    return SigningKey.from_secret_exponent(seed, curve, hashfunc=hashlib.sha256)


def public(key: SigningKey) -> bytes:
    pem: bytes = key.get_verifying_key().to_pem()
    return pem


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def a_statement(files: dict[str, bytes]) -> dict[str, Any]:
    listed = [{"name": name, "algorithm": "sha256", "digest": sha256(files[name])} for name in sorted(files)]
    root = sha256(b"".join(bytes.fromhex(one["digest"]) for one in listed))
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "model", "digest": {"sha256": root}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [".git", ".github"],
            },
            "resources": listed,
        },
    }


def a_bundle(statement: dict[str, Any], key: SigningKey | None = None, **changes: Any) -> bytes:
    key = key or a_key()
    payload = json.dumps(statement).encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
    signature = key.sign_deterministic(signed, hashfunc=hashlib.sha256, sigencode=sigencode_der)
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
    }
    material = {"publicKey": {"hint": _hint(key.get_verifying_key())}, "tlogEntries": []}
    document = {"mediaType": BUNDLE_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope | changes}
    return json.dumps(document).encode()


def digests_of(files: dict[str, bytes]) -> dict[str, str]:
    """The digests as the one pass over the archive finds them."""
    taken = FileDigests()
    inspect_artifact(
        io.BytesIO(tar_gz(files)), allow_code=True, max_size_bytes=10**9, each_file=taken.begin
    ).require_good()
    return taken.hex()


def codes_after(change: dict[str, bytes | None]) -> set[tuple[str, str]]:
    """Sign the good model, change the archive (None takes a file out), and say what the check finds."""
    files = good_members()
    signed = verify_bundle(a_bundle(a_statement(files)), public(a_key()))
    found = {path: body for path, body in (files | change).items() if body is not None}
    taken = {path: sha256(body) for path, body in found.items()}
    return {(one.code, one.where) for one in check_files(signed, taken)}


def refusal(bundle: bytes, key: bytes | None = None) -> str:
    with pytest.raises(ArtifactRejectedError) as error:
        verify_bundle(bundle, key if key is not None else public(a_key()))
    (problem,) = error.value.problems
    assert problem.fix
    return f"{problem.code} {problem.what}"


@pytest.mark.parametrize("name", ["model-signing-1.1.1", "p384"])
def test_a_bundle_of_the_real_package_is_verified(name: str) -> None:
    signed = verify_bundle((GOLDEN / f"{name}.sig").read_bytes(), (GOLDEN / f"{name}.pub").read_bytes())
    assert signed.files == {path: sha256(text.encode()) for path, text in GOLDEN_FILES.items()}


@pytest.mark.parametrize("name", ["model-signing-1.1.1", "p384"])
def test_a_key_has_the_name_that_the_real_package_gives_it(name: str) -> None:
    from ecdsa import VerifyingKey

    bundle = json.loads((GOLDEN / f"{name}.sig").read_bytes())
    key = VerifyingKey.from_pem((GOLDEN / f"{name}.pub").read_bytes())
    assert _hint(key) == bundle["verificationMaterial"]["publicKey"]["hint"]


def test_what_was_signed_is_what_the_pass_over_the_archive_reads() -> None:
    files = good_members()
    signed = verify_bundle(a_bundle(a_statement(files)), public(a_key()))
    assert check_files(signed, digests_of(files)) == []


def test_a_tampered_file_is_named() -> None:
    assert codes_after({"1/saved_model.pb": b"x"}) == {("SIGNATURE_CHANGED", "1/saved_model.pb")}


def test_an_added_file_is_named() -> None:
    assert codes_after({"1/assets/new.txt": b"x"}) == {("SIGNATURE_ADDED", "1/assets/new.txt")}


@pytest.mark.parametrize("path", [".github/x.yml", ".git/config", ".gitignore", "model.sig", "1/.gitattributes"])
def test_a_file_added_where_the_real_tool_does_not_look_is_named(path: str) -> None:
    assert codes_after({path: b"x"}) == {("SIGNATURE_ADDED", path)}


def test_a_removed_file_is_named() -> None:
    assert codes_after({"1/variables/variables.index": None}) == {("SIGNATURE_REMOVED", "1/variables/variables.index")}


def test_a_renamed_file_is_named_twice() -> None:
    body = good_members()["1/variables/variables.index"]
    found = codes_after({"1/variables/variables.index": None, "1/variables/variables.indey": body})
    assert {code for code, _ in found} == {"SIGNATURE_ADDED", "SIGNATURE_REMOVED"}


def test_two_files_that_changed_places_are_named() -> None:
    files = good_members()
    one, two = "1/saved_model.pb", "1/variables/variables.index"
    assert {code for code, _ in codes_after({one: files[two], two: files[one]})} == {"SIGNATURE_CHANGED"}


def test_a_swapped_bundle_of_another_model_is_refused_by_its_files() -> None:
    other = verify_bundle(a_bundle(a_statement({"1/saved_model.pb": b"another"})), public(a_key()))
    assert {one.code for one in check_files(other, digests_of(good_members()))} == {
        "SIGNATURE_CHANGED",
        "SIGNATURE_ADDED",
    }


def test_a_bundle_of_a_wrong_key_is_refused_and_names_both() -> None:
    told = refusal(a_bundle(a_statement({"a": b"x"}), a_key(2)))
    assert told.startswith("SIGNATURE_INVALID")
    assert _hint(a_key(2).get_verifying_key())[:16] in told
    assert _hint(a_key(1).get_verifying_key())[:16] in told


def test_a_bundle_that_claims_our_key_but_was_not_made_with_it_is_refused() -> None:
    bundle = json.loads(a_bundle(a_statement({"a": b"x"}), a_key(2)))
    bundle["verificationMaterial"]["publicKey"]["hint"] = _hint(a_key().get_verifying_key())
    assert refusal(json.dumps(bundle).encode()).startswith("SIGNATURE_INVALID")


def test_a_statement_that_was_edited_after_signing_is_refused() -> None:
    bundle = json.loads(a_bundle(a_statement({"a": b"x"})))
    edited = json.dumps(a_statement({"a": b"y"})).encode()
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(edited).decode()
    assert refusal(json.dumps(bundle).encode()).startswith("SIGNATURE_INVALID")


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_bundle_is_refused(share: float) -> None:
    bundle = a_bundle(a_statement(good_members()))
    assert refusal(bundle[: int(len(bundle) * share)]).startswith("SIGNATURE_BUNDLE")


def test_a_bundle_too_large_to_read_is_refused() -> None:
    assert refusal(b" " * (MAX_BUNDLE_BYTES + 1)).startswith("SIGNATURE_BUNDLE")


def test_a_second_signature_beside_the_first_is_refused() -> None:
    bundle = json.loads(a_bundle(a_statement({"a": b"x"})))
    bundle["dsseEnvelope"]["signatures"] *= 2
    assert "exactly one" in refusal(json.dumps(bundle).encode())


def test_a_signature_over_another_kind_of_payload_is_refused() -> None:
    assert "payloadType" in refusal(a_bundle(a_statement({"a": b"x"}), payloadType="application/json"))


def test_a_signed_statement_about_something_else_is_refused() -> None:
    statement = a_statement({"a": b"x"}) | {"predicateType": "https://slsa.dev/provenance/v1"}
    assert "predicateType" in refusal(a_bundle(statement))


def test_a_list_with_one_name_twice_is_refused() -> None:
    statement = a_statement({"a": b"x"})
    statement["predicate"]["resources"] *= 2
    assert "contradicts" in refusal(a_bundle(statement))


def test_a_signature_over_shards_says_what_is_expected() -> None:
    statement = a_statement({"a": b"x"})
    statement["predicate"]["serialization"]["method"] = "shards"
    assert "whole files" in refusal(a_bundle(statement))


@pytest.mark.parametrize("key", [b"", b"hello", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_key_that_is_none_is_told_as_such(key: bytes) -> None:
    assert refusal(a_bundle(a_statement({"a": b"x"})), key).startswith("SIGNATURE_KEY")


def test_a_private_key_in_the_place_of_the_public_one_is_refused() -> None:
    assert refusal(a_bundle(a_statement({"a": b"x"})), a_key().to_pem()).startswith("SIGNATURE_KEY")


def test_a_curve_that_the_real_tool_does_not_sign_on_is_refused() -> None:
    assert "curve" in refusal(a_bundle(a_statement({"a": b"x"})), public(a_key(1, SECP256k1)))


def test_a_key_may_be_der_as_kms_gives_it() -> None:
    der = a_key().get_verifying_key().to_der()
    assert verify_bundle(a_bundle(a_statement({"a": b"x"})), der).files == {"a": sha256(b"x")}


def test_the_same_model_has_one_digest_however_it_was_signed() -> None:
    first = verify_bundle(a_bundle(a_statement({"a": b"x", "b": b"y"})), public(a_key()))
    again = verify_bundle(a_bundle(a_statement({"b": b"y", "a": b"x"}), a_key(2)), public(a_key(2)))
    assert first.digest == again.digest
    renamed = verify_bundle(a_bundle(a_statement({"a": b"x", "c": b"y"})), public(a_key()))
    assert renamed.digest != first.digest


def test_a_key_of_another_size_is_another_key() -> None:
    assert refusal(a_bundle(a_statement({"a": b"x"})), public(a_key(1, NIST384p))).startswith("SIGNATURE_INVALID")


@settings(max_examples=40)
@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda x: (
            st.lists(x)
            | st.dictionaries(st.sampled_from(["mediaType", "dsseEnvelope", "payload", "signatures", "sig"]), x)
        ),
    ).map(lambda x: json.dumps(x).encode())
)
def test_no_bundle_is_a_crash(bundle: bytes) -> None:
    assert refusal(bundle).startswith("SIGNATURE_")


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda x: (
            st.lists(x)
            | st.dictionaries(st.sampled_from(["serialization", "resources", "name", "method", "digest"]), x)
        ),
    )
)
def test_no_signed_predicate_is_a_crash(predicate: Any) -> None:
    statement = a_statement({"a": b"x"}) | {"predicate": predicate}
    assert refusal(a_bundle(statement)).startswith("SIGNATURE_BUNDLE")
