"""Pack a SavedModel into the `model.tar.gz` that TensorFlow Serving loads; the same files give the same bytes.

Needs no TensorFlow.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

INDEX_MEMBER = "variables/variables.index"
GOLDEN_MEMBER = "assets.extra/golden.jsonl"
POLICY_MEMBER = "rollout.yaml"


class PackageError(ValueError):
    """The directory is not something TensorFlow Serving could load; the message says what was looked for."""


def package(
    saved_model: Path,
    archive: Path,
    *,
    version: int | None = None,
    golden: Path | None = None,
    policy: Path | None = None,
) -> str:
    """Pack a SavedModel directory, or the parent of one numbered version; the archive's sha256.

    version: the number to serve it under; by default the directory's own, else 1. golden: a golden.jsonl to put into
    the archive (one in the model's assets.extra is taken along anyway). policy: a rollout.yaml to put at its root,
    where TensorFlow Serving ignores it and the archive's signature covers it.
    """
    directory, own_version = find_version(saved_model)
    number = version if version is not None else own_version
    if number < 0:
        raise PackageError(f"version {number}: TensorFlow Serving takes a whole number from 0")
    members: dict[str, Path | bytes] = {
        f"{number}/{path.relative_to(directory).as_posix()}": path for path in directory.rglob("*") if path.is_file()
    }
    if golden is not None:
        check_golden(golden)
        members[f"{number}/{GOLDEN_MEMBER}"] = golden
    if policy is not None:
        members[POLICY_MEMBER] = policy
    return write_archive(members, archive)


def find_version(path: Path) -> tuple[Path, int]:
    """Return the directory with saved_model.pb and the number it will have."""
    if (path / "saved_model.pb").is_file():
        return path, int(path.name) if re.fullmatch(r"[0-9]+", path.name) else 1
    if not path.is_dir():
        raise PackageError(f"{path} is not a directory: give a SavedModel directory (the one with saved_model.pb)")
    numbered = [one for one in path.iterdir() if one.name.isdecimal() and (one / "saved_model.pb").is_file()]
    if len(numbered) == 1:
        return numbered[0], int(numbered[0].name)
    if numbered:
        names = ", ".join(sorted(one.name for one in numbered))
        raise PackageError(
            f"{path} has versions {names}: give the one to pack, such as {path / max(names.split(', '))}"
        )
    found = ", ".join(sorted(one.name for one in path.iterdir())[:8]) or "nothing"
    hint = "a .keras or .h5 file is not a SavedModel: call model.export('1')" if "keras" in found else ""
    raise PackageError(
        f"no saved_model.pb in {path}, nor in a numbered directory of it (found {found}). {hint}".strip()
    )


def check_golden(path: Path) -> None:
    """Refuse a golden.jsonl whose lines are not objects with a request."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise PackageError(f"{path} line {number} is not JSON: {error}") from None
        if not isinstance(entry, dict) or "request" not in entry:
            raise PackageError(f'{path} line {number}: needs {{"request": ...}}, and "response": ... to be compared')


def _place(name: str) -> str:
    """Where a member is sorted: the index's own name would come after the data's."""
    return name.removesuffix("index") if name.endswith(INDEX_MEMBER) else name


def write_archive(members: Mapping[str, Path | bytes], archive: Path) -> str:
    """Write members sorted, owned by nobody, at time 0; the archive's sha256. Nothing else goes into the bytes.

    The variables' index comes before their data, so that one pass can check both.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    with (
        archive.open("wb") as packed,
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0, compresslevel=6) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in sorted(members, key=_place):
            content = members[name]
            entry = tarfile.TarInfo(name)
            entry.size = len(content) if isinstance(content, bytes) else content.stat().st_size
            entry.mode, entry.mtime = 0o644, 0
            with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as stream:
                tar.addfile(entry, stream)
    with archive.open("rb") as written:
        return hashlib.file_digest(written, "sha256").hexdigest()
