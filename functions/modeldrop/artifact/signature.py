"""The artifact signature: an OpenSSF model-signing bundle says which files the model has, and a key vouches for it.

Read here: the sigstore bundle v0.3 around a DSSE envelope around an in-toto statement, signed with an elliptic curve
key, as `model_signing sign key` writes it. Its list is compared with the archive's files, every one of them: the
ignore list that the format knows is not followed, or a file could hide under `.github/`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modeldrop.artifact.codes import RULES
from modeldrop.artifact.findings import shown
from modeldrop.artifact.report import ArtifactReport, Check
from modeldrop.errors import ArtifactRejectedError, Problem

# 10,000 entries (tar_stream.MAX_ENTRIES) with long names, twice in base64
MAX_BUNDLE_BYTES = 8 * 1024**2
MAX_SHOWN = 10
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
# curve -> the hash that model-signing signs with on it
CURVES = {"NIST256p": hashlib.sha256, "NIST384p": hashlib.sha384, "NIST521p": hashlib.sha512}


@dataclass(frozen=True)
class SignedModel:
    """What the key vouches for: path in the archive -> sha256 in hex.

    older: what is known of it from before the live release, where that is not refused; empty where nothing is.
    """

    files: Mapping[str, str]
    older: str = ""

    @property
    def digest(self) -> str:
        """The sha256 of names and contents: the same for the same model, however it was packed or signed again."""
        return hashlib.sha256(json.dumps(sorted(self.files.items())).encode()).hexdigest()


@dataclass(frozen=True)
class FileDigests:
    """Takes the bytes of an archive's files as they go by."""

    _hashes: dict[str, Any] = field(default_factory=dict)

    def begin(self, path: str) -> Callable[[bytes], object]:
        """Return who takes the next file's bytes."""
        self._hashes[path] = hashlib.sha256()
        update: Callable[[bytes], object] = self._hashes[path].update
        return update

    def hex(self) -> dict[str, str]:
        """Path -> sha256 of what went by."""
        return {path: found.hexdigest() for path, found in self._hashes.items()}


def verify_bundle(bundle: bytes, public_key: bytes) -> SignedModel:
    """Return what the bundle's signature covers; ArtifactRejectedError when the key did not make it.

    public_key: PEM, or DER (SubjectPublicKeyInfo), of a key on P-256, P-384 or P-521.
    """
    key = _load_key(public_key)
    envelope, hint = _envelope(bundle)
    payload, signature = _decoded(envelope, "payload"), _decoded(envelope["signatures"][0], "sig")
    kind = PAYLOAD_TYPE.encode()
    # DSSE's pre-authentication encoding: what is signed cannot be taken for another kind of payload
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    if not _is_signed(key, signature, signed):
        ours = _hint(key)
        other = (
            f" (it names key {shown(hint[:16])}..., the policy's is {ours[:16]}...)" if hint not in ("", ours) else ""
        )
        raise refusal("SIGNATURE_INVALID", f"the policy's key did not make this signature{other}")
    return _signed_model(payload)


def check_files(signed: SignedModel, digests: Mapping[str, str]) -> list[Problem]:
    """Return every difference between the files that were signed and those of the archive, none for the same."""
    changed = [path for path, digest in digests.items() if signed.files.get(path, digest) != digest]
    added = [path for path in digests if path not in signed.files]
    removed = [path for path in signed.files if path not in digests]
    found = [
        ("SIGNATURE_CHANGED", "the file is not the one that was signed", changed),
        ("SIGNATURE_ADDED", "the file was not there when the model was signed", added),
        ("SIGNATURE_REMOVED", "the file was signed and is not in the archive", removed),
    ]
    return [problem(code, what, path) for code, what, paths in found for path in sorted(paths)[:MAX_SHOWN]]


def with_signature(report: ArtifactReport, signed: SignedModel, digests: Mapping[str, str]) -> ArtifactReport:
    """Return the report with what the comparison found in front."""
    found = [Check(one.code, "refused", one.what, one.where, one.fix) for one in check_files(signed, digests)]
    checks = found or [Check("SIGNATURE_OK", "ok", f"the key signed all {len(signed.files)} files")]
    if signed.older:
        checks.append(Check("SIGNATURE_OLDER", "warned", signed.older))
    return replace(report, checks=(*checks, *report.checks))


def refusal(code: str, what: str, where: str = "") -> ArtifactRejectedError:
    """Return the rejection with one problem of a SIGNATURE_ code."""
    return ArtifactRejectedError([problem(code, what, where)])


def problem(code: str, what: str, where: str = "") -> Problem:
    """Return a problem with the fix of its code."""
    return Problem(code, what, shown(where), RULES[code].fix)


def _load_key(text: bytes) -> Any:
    from ecdsa import VerifyingKey

    try:
        load = VerifyingKey.from_pem if text.lstrip().startswith(b"-----BEGIN PUBLIC KEY") else VerifyingKey.from_der
        key = load(text.strip() if load == VerifyingKey.from_pem else text, valid_curve_encodings=("named_curve",))
    except Exception as error:  # a foreign parser on operators' text: whatever it says, the key can't be used
        raise refusal("SIGNATURE_KEY", f"it is not a PEM public key on an elliptic curve ({error})"[:300]) from None
    if key.curve.name not in CURVES:
        raise refusal("SIGNATURE_KEY", f"its curve is {key.curve.name}; allowed: P-256, P-384, P-521")
    return key


def _hint(key: Any) -> str:
    """How a bundle names its key: the sha256 of the PEM text as OpenSSL writes it."""
    text = base64.b64encode(key.to_der()).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return hashlib.sha256(
        "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""]).encode()
    ).hexdigest()


def _envelope(bundle: bytes) -> tuple[dict[str, Any], str]:
    """The DSSE envelope with one signature, and the hint at the key."""
    if len(bundle) > MAX_BUNDLE_BYTES:
        raise refusal("SIGNATURE_BUNDLE", f"more than {MAX_BUNDLE_BYTES:,} bytes")
    document = _json(bundle, "the bundle")
    media, envelope = document.get("mediaType"), document.get("dsseEnvelope")
    if media != BUNDLE_TYPE or not isinstance(envelope, dict):
        raise refusal("SIGNATURE_BUNDLE", f"mediaType is {media!a:.80}; expected: {BUNDLE_TYPE} with a dsseEnvelope")
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        raise refusal("SIGNATURE_BUNDLE", f"payloadType is {envelope.get('payloadType')!a:.80}")
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1 or not isinstance(signatures[0], dict):
        raise refusal("SIGNATURE_BUNDLE", "it does not hold exactly one signature")
    material = document.get("verificationMaterial")
    named = material.get("publicKey") if isinstance(material, dict) else None
    hint = named.get("hint") if isinstance(named, dict) else None
    return envelope, hint if isinstance(hint, str) else ""


def _decoded(document: Mapping[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(document[name], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise refusal("SIGNATURE_BUNDLE", f"{name} is not base64") from None


def _is_signed(key: Any, signature: bytes, signed: bytes) -> bool:
    from ecdsa.util import sigdecode_der

    try:
        return bool(key.verify(signature, signed, hashfunc=CURVES[key.curve.name], sigdecode=sigdecode_der))
    except Exception:  # wrong, or malformed in one of the parser's many ways: neither is a signature
        return False


def _signed_model(payload: bytes) -> SignedModel:
    statement = _json(payload, "the statement")
    if (statement.get("_type"), statement.get("predicateType")) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise refusal("SIGNATURE_BUNDLE", f"predicateType is {statement.get('predicateType')!a:.80}, not a model's")
    try:
        predicate = statement["predicate"]
        how = (predicate["serialization"]["method"], predicate["serialization"]["hash_type"])
        listed = [(one["name"], one["algorithm"], one["digest"].lower()) for one in predicate["resources"]]
        raw = b"".join(bytes.fromhex(digest) for _, _, digest in listed)
        (subject,) = statement["subject"]
        root = subject["digest"]["sha256"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise refusal("SIGNATURE_BUNDLE", f"its statement lacks what it needs ({error})"[:200]) from None
    if how != ("files", "sha256") or any(algorithm != "sha256" for _, algorithm, _ in listed):
        raise refusal("SIGNATURE_BUNDLE", f"it was made by {how!a:.80}; expected: sha256 of whole files")
    files = {name: digest for name, _, digest in listed}
    if len(files) != len(listed) or hashlib.sha256(raw).hexdigest() != root:
        raise refusal("SIGNATURE_BUNDLE", "its list of files contradicts itself")
    return SignedModel(files)


def _json(text: bytes, what: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise refusal("SIGNATURE_BUNDLE", f"{what} is not JSON: was it cut off?") from None
    if not isinstance(document, dict):
        raise refusal("SIGNATURE_BUNDLE", f"{what} is not a JSON object")
    return document
