"""The readers on streams of any shape: pieces, threads, errors, memory."""

import gzip
import hashlib
import io
import tarfile
import threading
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeldrop.artifact.compressed import PIECE_BYTES, PIECES_AHEAD, HashedPieces
from modeldrop.artifact.findings import FatalFindingError, Findings
from modeldrop.artifact.gzip_stream import GzipReader
from modeldrop.artifact.tar_stream import TarReader
from tests.unit.artifact_builders import good_artifact, gz
from tests.unit.test_artifact_inspect import LIMIT, inspect

NOISE = Random(3).randbytes(3 * PIECE_BYTES + 17)
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="\\/"), min_size=1, max_size=12)
CONTENTS = st.one_of(st.binary(max_size=40), st.integers(0, 3000).map(lambda n: bytes([n % 251]) * n))


class Dribble(io.RawIOBase):
    """A stream that gives fewer bytes than asked for, as a socket does."""

    def __init__(self, content: bytes, most: int) -> None:
        self._content = io.BytesIO(content)
        self._most = most

    def read(self, count: int = -1) -> bytes:
        return self._content.read(min(count, self._most))


class Breaking(io.RawIOBase):
    """A stream that fails after some bytes."""

    def __init__(self, good_bytes: int) -> None:
        self._left = good_bytes

    def read(self, count: int = -1) -> bytes:
        if self._left <= 0:
            raise ConnectionError("the connection is gone")
        self._left -= count
        return NOISE[:count]


def pieces_of(stream: io.RawIOBase | io.BytesIO) -> tuple[list[bytes], str]:
    source = HashedPieces(stream)  # type: ignore[arg-type]  # it only reads
    found = []
    while piece := source.take():
        found.append(piece)
    source.close()
    return found, source.sha256


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, len(NOISE)])
def test_pieces_are_the_same_however_the_stream_dribbles(size: int) -> None:
    content = NOISE[:size]
    whole = pieces_of(io.BytesIO(content))
    assert whole == pieces_of(Dribble(content, 7001))
    assert b"".join(whole[0]) == content
    assert whole[1] == hashlib.sha256(content).hexdigest()
    assert all(len(piece) == PIECE_BYTES for piece in whole[0][:-1])


@pytest.mark.parametrize("good_bytes", [1, 3 * PIECE_BYTES])
def test_what_the_stream_raises_is_raised_to_the_reader(good_bytes: int) -> None:
    with pytest.raises(ConnectionError, match="gone"):
        pieces_of(Breaking(good_bytes))


def test_nothing_reads_the_stream_after_a_refusal() -> None:
    before = threading.active_count()
    stream = io.BytesIO(gz(b"not a tar" * 100) + NOISE * 40)
    assert inspect(stream.getvalue()).refusals
    assert threading.active_count() == before


def test_a_reader_that_stops_early_leaves_no_thread() -> None:
    before = threading.active_count()
    source = HashedPieces(io.BytesIO(NOISE * 3 * PIECES_AHEAD))
    source.take()
    source.close()
    assert threading.active_count() == before


def test_a_large_artifact_is_read_to_its_last_byte() -> None:
    content = gzip.compress(NOISE * 4, 1)
    source = GzipReader(io.BytesIO(content), Findings(), LIMIT, None)
    digest = hashlib.sha256()
    while view := source.view_some(1 << 30):
        digest.update(view)
    source.close()
    assert digest.digest() == hashlib.sha256(NOISE * 4).digest()
    assert source.sha256 == hashlib.sha256(content).hexdigest()
    assert source.size_bytes == len(content)


def test_a_view_stays_valid_while_reading_goes_on() -> None:
    content = NOISE * 12
    source = GzipReader(io.BytesIO(gz(content)), Findings(), LIMIT, None)
    views = []
    while view := source.view_some(100_001):
        views.append(view)
    source.close()
    assert b"".join(views) == content


def test_progress_ends_at_the_size_of_the_file() -> None:
    told: list[int] = []
    data = gz(NOISE)
    source = GzipReader(io.BytesIO(data), Findings(), LIMIT, told.append)
    while source.view_some(1 << 20):
        pass
    assert told == sorted(told)
    assert told[-1] == len(data)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(NAMES.filter(lambda name: name not in (".", "..")), CONTENTS, max_size=6),
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.integers(0, 180),
)
def test_what_tarfile_writes_is_read_as_tarfile_reads_it(files: dict[str, bytes], form: int, prefix: int) -> None:
    buffer = io.BytesIO()
    directory = "/".join(["d" * 30] * (prefix // 30)) + "/" if prefix >= 30 else ""
    with tarfile.open(fileobj=buffer, mode="w:gz", format=form) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(directory + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    findings = Findings()
    source = GzipReader(io.BytesIO(buffer.getvalue()), findings, LIMIT, None)
    found = {member.path: member.read(member.size) for member in TarReader(source, findings).members()}
    if findings.has("TAR_NAME", "TAR_DUPLICATE"):
        return  # hypothesis found lookalike names or characters that no model needs
    with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as archive:
        expected = {one.name: archive.extractfile(one).read() for one in archive if archive.extractfile(one)}  # type: ignore[union-attr]
    assert not findings.checks()
    assert found == expected


GOOD = good_artifact()
REPORT = inspect(GOOD)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_refused_or_changes_nothing(at: int, flip: int) -> None:
    flipped = bytearray(GOOD)
    flipped[at] ^= flip
    report = inspect(bytes(flipped))
    if report.refusals:
        return
    # time, level and system in the gzip header and the bits that pad the last deflate byte say nothing of the content
    assert gzip.decompress(flipped) == gzip.decompress(GOOD)
    assert report.serving_signatures == REPORT.serving_signatures


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 3), st.integers(0, 200), st.integers(0, 255))
def test_no_gzip_is_read_that_python_refuses(content: bytes, extra: int, at: int, value: int) -> None:
    data = bytearray(gz(content) + gz(b"more") * extra)
    data[at % len(data)] = value
    source = GzipReader(io.BytesIO(data), Findings(), LIMIT, None)
    try:
        found = source.read(10_000)
    except FatalFindingError:
        return
    assert found == gzip.decompress(data)
