"""From an uploaded key to a release: which endpoint is meant, under which id, and in which order."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from modeldrop.errors import Problem, RejectedError
from modeldrop.release.rehearsal import REHEARSAL_NAME
from modeldrop.release.restore import Claim

ARTIFACT_NAME = "model.tar.gz"
POLICY_NAME = "rollout.yaml"
# CreateEndpoint, EndpointName: pattern and at most 63 characters
ENDPOINT_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
LABEL = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}")
MAX_KEY_SHOWN = 200
# sequencers are hexadecimal
AFTER_ALL = "G" * 40


@dataclass(frozen=True)
class Upload:
    """One version of one object that the upload bucket told us of.

    modified: LastModified of the version, UTC. sequencer: S3's order of events on this key, hexadecimal; empty where no
    event told of the version, which then was the current one of its key. claim: which release the upload says it brings
    back.
    """

    bucket: str
    key: str
    version_id: str
    modified: datetime
    sequencer: str
    size_bytes: int
    claim: Claim = field(default_factory=Claim)


@dataclass(frozen=True)
class Destination:
    """What a key asks for."""

    endpoint: str
    label: str


def destination(key: str) -> Destination:
    """Return the endpoint and label of `<endpoint>[/<label>]/model.tar.gz`; RejectedError names what is wrong."""
    parts = key.split("/")
    layout = f"Upload to <endpoint>/{ARTIFACT_NAME} or <endpoint>/<label>/{ARTIFACT_NAME}."
    if parts[-1] != ARTIFACT_NAME or len(parts) not in (2, 3):
        raise RejectedError([Problem("KEY_LAYOUT", f"the key {shown(key)} names no release", fix=layout)])
    problems = []
    if not ENDPOINT_NAME.fullmatch(parts[0]):
        what = f"{shown(parts[0])} is not a name SageMaker accepts for an endpoint"
        fix = "Use 1 to 63 letters, digits and hyphens, starting and ending with a letter or digit."
        problems.append(Problem("ENDPOINT_NAME", what, where=shown(key), fix=fix))
    elif REHEARSAL_NAME.fullmatch(parts[0]):
        what = f"{shown(parts[0])} looks like the name of a rehearsal, a throw-away endpoint that modeldrop deletes"
        fix = "Use a name that is not r-, 14 digits, and 12 hexadecimal digits."
        problems.append(Problem("ENDPOINT_REHEARSAL", what, where=shown(key), fix=fix))
    if len(parts) == 3 and not LABEL.fullmatch(parts[1]):
        what = f"{shown(parts[1])} is not a label"
        fix = "Use 1 to 63 letters, digits, dots, hyphens and underscores, starting with a letter or digit."
        problems.append(Problem("LABEL", what, where=shown(key), fix=fix))
    if problems:
        raise RejectedError(problems)
    return Destination(parts[0], parts[1] if len(parts) == 3 else "")


def table_endpoint(key: str) -> str:
    """Return the name a release is filed under, also where the key is refused: never empty, always a legal name."""
    first = key.split("/")[0] if "/" in key else ""
    name = re.sub(r"-+", "-", re.sub(r"[^a-zA-Z0-9-]", "-", first)).strip("-")[:63].rstrip("-")
    return name or "unnamed"


def policy_key(endpoint: str) -> str:
    """Return the key of the endpoint's rollout.yaml."""
    return f"{endpoint}/{POLICY_NAME}"


def signature_key(artifact_key: str) -> str:
    """Return the key of the artifact's signature, which lies beside it."""
    return f"{artifact_key}.sig"


def release_id(upload: Upload, endpoint: str) -> str:
    """Return the id of the release, at most 62 characters and the same for a duplicate event (DESIGN 4.3).

    It is in lower case, so that the ids of one endpoint sort by time whatever the case of a key was.
    """
    stamp = upload.modified.astimezone(UTC).strftime("%Y%m%d%H%M%S")
    return f"{endpoint[:40].lower()}-{stamp}-{upload_digest(upload)[:6]}"


def upload_digest(upload: Upload) -> str:
    """Return the sha256 that says two events are of the same upload."""
    return hashlib.sha256("\0".join((upload.bucket, upload.key, upload.version_id)).encode()).hexdigest()


def sequence(sequencer: str) -> str:
    """Make S3's sequencer comparable as text: the shorter is padded on the right with zeros (S3 event reference).

    One that is not known sorts after all others: the current version of a key is the newest of its second.
    """
    if not sequencer:
        return AFTER_ALL
    return sequencer.upper().ljust(40, "0")


def order(upload: Upload, release: str) -> str:
    """Return the text by which releases of one endpoint are ordered: later upload, greater text.

    It rests on S3's LastModified, to the second, which S3 sets itself. Within a second it rests on the sequencer, which
    S3 promises for versions of one key only: two keys of one endpoint that were uploaded in the same second are in an
    order that always is the same, but no more. The id makes it total.
    """
    return f"{upload.modified.astimezone(UTC):%Y%m%d%H%M%S}|{sequence(upload.sequencer)}|{release}"


def shown(text: str) -> str:
    """Quote user text for a message: control characters escaped, length capped."""
    cut = text if len(text) <= MAX_KEY_SHOWN else text[:MAX_KEY_SHOWN] + "..."
    return ascii(cut)
