"""Unpack a model.tar.gz into a scratch directory without letting it out of there."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path

MAX_MEMBERS = 100_000
MAX_BYTES = 30 * 1024**3  # the largest default volume of a hosting instance
MIN_RATIO_BYTES = 10 * 1024**2  # below this a high ratio is harmless
MAX_RATIO = 1100  # deflate can't do better than 1030:1


class ArchiveError(Exception):
    """The archive can't be unpacked; says which member and why."""


def unpack(archive: Path, target: Path) -> None:
    """Unpack a gzip'd tar into target; raises ArchiveError for what is not one, or leaves its folder."""
    target.mkdir(parents=True, exist_ok=True)
    compressed, written = archive.stat().st_size, 0
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for count, member in enumerate(tar, 1):
                written += member.size
                if count > MAX_MEMBERS:
                    raise ArchiveError(f"more than {MAX_MEMBERS} members")
                if written > MAX_BYTES or (written > MIN_RATIO_BYTES and written > compressed * MAX_RATIO):
                    raise ArchiveError(f"unpacks to more than {written} bytes from {compressed}")
                if not (member.isfile() or member.isdir()):
                    raise ArchiveError(f"member {member.name!r} is neither a file nor a directory")
                tar.extract(member, target, filter="data")
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise ArchiveError(f"{type(error).__name__}: {error}") from error
