"""The gzip and tar readers: what they read, and what they refuse that other readers let pass."""

import gzip
import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeldrop.artifact.findings import FatalFindingError, Findings
from modeldrop.artifact.gzip_stream import GzipReader
from tests.unit.artifact_builders import entry, good_artifact, good_members, gz, header, tar_bytes, with_checksum
from tests.unit.test_artifact_inspect import inspect, refusals

GOOD = tar_bytes(good_members())


def unpacked(data: bytes, sizes: list[int]) -> bytes:
    source = GzipReader(io.BytesIO(data), Findings(), 2**30, None)
    parts = [source.read(size) if size % 2 else source.read_some(size) for size in sizes]
    while piece := source.read_some(1000):
        parts.append(piece)
    return b"".join(parts)


def with_raw(raw: bytes) -> bytes:
    return gz(tar_bytes(good_members(), extra=raw))


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=5), st.lists(st.integers(1, 500), max_size=20))
def test_members_are_read_as_one_stream(contents: list[bytes], sizes: list[int]) -> None:
    assert unpacked(b"".join(map(gz, contents)), sizes) == b"".join(contents)


def test_output_larger_than_any_buffer_is_read_whole() -> None:
    content = bytes(range(256)) * 20_000
    assert unpacked(gz(content), [3, 2_000_001, 700]) == content


@given(st.data())
def test_a_cut_stream_is_never_read_as_whole(data: st.DataObject) -> None:
    whole = gz(b"some content" * 20) + gz(b"more")
    cut = data.draw(st.integers(1, len(whole) - 1).filter(lambda n: n != len(gz(b"some content" * 20))))
    with pytest.raises(FatalFindingError):
        unpacked(whole[:cut], [])


def test_a_header_with_every_optional_field_is_read() -> None:
    flags = 0x02 | 0x04 | 0x08 | 0x10
    start = b"\x1f\x8b\x08" + bytes([flags]) + bytes(6) + b"\3\0abc" + b"name\0" + b"comment\0"
    start += (zlib.crc32(start) & 0xFFFF).to_bytes(2, "little")
    deflated = zlib.compressobj(wbits=-15)
    body = deflated.compress(GOOD) + deflated.flush()
    trailer = zlib.crc32(GOOD).to_bytes(4, "little") + len(GOOD).to_bytes(4, "little")
    assert refusals(start + body + trailer) == set()


def test_a_wrong_checksum_of_a_header_is_refused() -> None:
    start = b"\x1f\x8b\x08\x02" + bytes(6)
    right = (zlib.crc32(start) & 0xFFFF).to_bytes(2, "little")
    assert refusals(start + right + good_artifact()[10:]) == set()
    assert refusals(start + b"\0\0" + good_artifact()[10:]) == {"GZIP_HEADER"}


def test_a_name_without_end_is_refused() -> None:
    assert refusals(b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * 200_000) == {"GZIP_HEADER"}


def test_a_wrong_length_in_the_trailer_is_refused() -> None:
    assert refusals(good_artifact()[:-4] + b"\1\0\0\0") == {"GZIP_CORRUPT"}


def test_zero_padding_after_gzip_is_refused() -> None:
    assert refusals(good_artifact() + bytes(512)) == {"GZIP_TRAILING"}


def test_another_compression_is_named() -> None:
    assert "zip file" in inspect(b"PK\x03\x04" + bytes(100)).refusals[0].what


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (entry("1/x", kind=b"1", link="1/saved_model.pb"), "TAR_LINK"),
        (entry("1/x", kind=b"6"), "TAR_DEVICE"),
        (entry("1/x", kind=b"4"), "TAR_DEVICE"),
        (entry("1/x", kind=b"M"), "TAR_TYPE"),
        (entry("/x"), "TAR_ABSOLUTE"),
        (entry("//x"), "TAR_ABSOLUTE"),
        (entry(".."), "TAR_ESCAPE"),
        (entry("1/.."), "TAR_ESCAPE"),
        (entry("../x"), "TAR_ESCAPE"),
        (entry("./../x"), "TAR_ESCAPE"),
        (entry("1/a\x01b"), "TAR_NAME"),
        (entry("1/a\nb"), "TAR_NAME"),
        (entry("1/a\u202eb"), "TAR_NAME"),
        (entry("1//x"), "TAR_NAME"),
        (entry("1/./x"), "TAR_NAME"),
        (entry(""), "TAR_NAME"),
        (entry("/".join("abcdefghijklmnopq")), "TAR_NAME"),
        (entry("1/saved_model.pb"), "TAR_DUPLICATE"),
        (entry("./1/saved_model.pb"), "TAR_DUPLICATE"),
        (entry("1/Variables/x"), "TAR_DUPLICATE"),
        (entry("1/\u00e9") + entry("1/e\u0301"), "TAR_DUPLICATE"),
        (entry("1/stra\u00dfe") + entry("1/STRASSE"), "TAR_DUPLICATE"),
        (entry("1/variables", b"x"), "TAR_FILE_AS_DIRECTORY"),
        (entry("a", b"x") + entry("a/b", b"x"), "TAR_FILE_AS_DIRECTORY"),
        (entry("1/d", b"content", kind=b"5"), "TAR_HEADER"),
        (entry("x", b"16 path=1/x\n12 p\n", kind=b"x") + entry("y"), "TAR_PAX"),
        (entry("x", b"12 size=513\n", kind=b"x") + entry("1/y", b"x"), "TAR_PAX"),
        (entry("x", b"10 path=a\n", kind=b"g") + entry("1/y"), "TAR_PAX"),
        (entry("x", b"9 size=x\n", kind=b"x") + entry("1/y"), "TAR_PAX"),
        (entry("x", b"13 path=1/ab\n" * 2, kind=b"x") + entry("1/y"), "TAR_PAX"),
        (entry("x", b"1/long\0", kind=b"L") + entry("x", b"13 path=1/ab\n", kind=b"x") + entry("1/y"), "TAR_PAX"),
        (entry("x", bytes(5000), kind=b"L") + entry("y"), "TAR_PAX"),
        (entry("x", bytes(70_000), kind=b"x") + entry("y"), "TAR_PAX"),
        (entry("x", b"13 path=1/ab\n", kind=b"x"), "TAR_HEADER"),
        (header("1/x", size=10_000), "TAR_TRUNCATED"),
        (bytes(512) + entry("1/hidden", b"x"), "TAR_TRAILING"),
        (with_checksum(header("1/x")[:124] + b"9" * 12 + header("1/x")[136:]), "TAR_HEADER"),
        # these two were found by fuzzing: tarfile stops at the first, and reads `0000/1/x` from the second
        (with_checksum(header("1/x")[:108] + b"\3\0\0\0\0\0\0\0" + header("1/x")[116:]), "TAR_HEADER"),
        (with_checksum(header("1/x")[:257] + b"ustar  \0" + bytes(80) + b"0000" + bytes(163)), "TAR_HEADER"),
        (with_checksum(header("1/x")[:257] + b"other\0" + header("1/x")[263:]), "TAR_HEADER"),
    ],
)
def test_a_member_that_breaks_a_rule_is_refused(raw: bytes, code: str) -> None:
    assert refusals(with_raw(raw)) == {code}


@pytest.mark.parametrize(
    "raw",
    [
        entry("./", kind=b"5"),
        entry("1/empty/", kind=b"5"),
        entry("1/assets/x", b"x" * 512),
        entry("1/assets/x", b"x", kind=b"\0"),
        entry("x", b"19 path=1/assets/x\n", kind=b"x") + entry("y"),
        entry("x", b"1/assets/x\0", kind=b"L") + entry("y"),
        entry("x", b"15 comment=abc\n", kind=b"g") + entry("1/assets/y"),
        entry("1/assets/\u00fcber.txt", b"x"),
        with_checksum(header("1/assets/x")[:257] + bytes(8) + header("1/assets/x")[265:]),
    ],
)
def test_what_packers_really_write_passes(raw: bytes) -> None:
    assert refusals(with_raw(raw)) == set()


def test_a_size_in_base_256_is_read() -> None:
    block = bytearray(header("1/assets/x"))
    block[124:136] = b"\x80" + (5).to_bytes(11, "big")
    assert refusals(with_raw(with_checksum(bytes(block)) + b"hello" + bytes(507))) == set()


def test_a_name_that_is_not_utf8_is_refused() -> None:
    block = bytearray(header("1/x"))
    block[2] = 0xFF
    assert refusals(with_raw(with_checksum(bytes(block)))) == {"TAR_NAME"}


def test_zeros_after_the_end_mark_are_bounded() -> None:
    assert refusals(gz(GOOD + bytes(9 * 1024))) == set()
    assert refusals(gzip.compress(GOOD + bytes(2 * 1024**2), 0)) == {"TAR_TRAILING"}


def test_names_in_all_are_bounded() -> None:
    long = "/".join(["d" * 90] * 11)
    raw = b"".join(
        entry("x", f"{len(long) + 17} path={long}/{n:05d}\n".encode(), kind=b"x") + entry("y") for n in range(1200)
    )
    assert refusals(with_raw(raw)) == {"TAR_ENTRIES"}


@pytest.mark.parametrize(
    ("archive", "code"),
    [
        (GOOD[:-512], "TAR_TRUNCATED"),
        (GOOD[:-1024] + header("x", size=600, kind=b"x") + b"short", "TAR_TRUNCATED"),
        (GOOD[:-1024] + entry("x", b"1/a\0", kind=b"L") * 2 + entry("1/y") + bytes(1024), "TAR_PAX"),
    ],
)
def test_an_archive_that_stops_in_the_middle_is_refused(archive: bytes, code: str) -> None:
    assert refusals(gz(archive)) == {code}


def test_a_part_of_a_name_is_bounded() -> None:
    name = "1/" + "a" * 256
    assert refusals(with_raw(entry("x", f"268 path={name}\n".encode(), kind=b"x") + entry("y"))) == {"TAR_NAME"}
