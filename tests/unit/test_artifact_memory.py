"""Memory and output stay bounded, whatever comes: each measured in an interpreter of its own."""

import subprocess
import sys

import pytest

SCRIPT = r"""
import io, re, sys, zlib
from pathlib import Path
from random import Random
from modeldrop.artifact.inspect import inspect_artifact
from tests.unit.artifact_builders import entry, header, with_files
from tests.unit.test_artifact_warmup import PATH, record

GIB = 1 << 30
NOISE = Random(1).randbytes(1 << 20)

def files(total):  # of 1 GiB each at most
    for start in range(0, total, 1024):
        size = min(1024, total - start)
        yield header(f"1/variables/variables.data-{start // 1024:05d}-of-00010", size=size << 20)
        yield from [NOISE] * size
    yield bytes(1024)

def weights(total):  # one gzip member, made as it is read
    packer, crc, length = zlib.compressobj(0, wbits=-15), 0, 0
    yield bytes.fromhex("1f8b08000000000000ff")
    for part in files(total):
        crc, length = zlib.crc32(part, crc), length + len(part)
        yield packer.compress(part)
    yield packer.flush() + crc.to_bytes(4, "little") + (length % 2**32).to_bytes(4, "little")

def zeros(total):  # a bomb
    packer = zlib.compressobj(9, wbits=31)
    yield packer.compress(header("1/zeros", size=total << 20))
    for _ in range(total):
        yield packer.compress(bytes(1 << 20))
    yield packer.flush()

def members(count):
    packer = zlib.compressobj(9, wbits=31)
    for number in range(count):
        yield packer.compress(entry(f"1/{number}"))
    yield packer.compress(bytes(1024)) + packer.flush()

def long_names(count):
    packer = zlib.compressobj(1, wbits=31)
    for number in range(count):
        yield packer.compress(entry("x", f"{number:0>4}".encode() * 1000, kind=b"L") + entry("y"))
    yield packer.flush()

def warmup(fields):  # one record of empty fields
    yield with_files({PATH: record(b"\x32\x00" * fields)})

class Made(io.RawIOBase):
    def __init__(self, parts):
        self.parts, self.left = parts, b""

    def read(self, count=-1):
        while not self.left:
            part = next(self.parts, None)
            if part is None:
                return b""
            self.left = part
        found, self.left = self.left[:count], self.left[count:]
        return found

def peak():
    # VmHWM, since ru_maxrss remembers the process that was forked
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) >> 10

inspect_artifact(io.BytesIO(b"nothing"), allow_code=False, max_size_bytes=GIB)
before = peak()
report = inspect_artifact(Made(eval(sys.argv[1])), allow_code=False, max_size_bytes=20 * GIB)
print(peak(), peak() - before, report.uncompressed_bytes >> 20, *sorted({one.code for one in report.refusals}))
"""


def measured(made: str) -> tuple[int, int, int, set[str]]:
    """Peak MiB, MiB more than before, MiB uncompressed, codes."""
    command = [sys.executable, "-c", SCRIPT, made]
    words = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.split()
    return int(words[0]), int(words[1]), int(words[2]), set(words[3:])


@pytest.mark.parametrize(
    ("made", "code", "most_uncompressed"),
    [
        ("weights(192)", "LAYOUT_NO_MODEL", 193),
        ("zeros(1024)", "SIZE_RATIO", 64),
        pytest.param("members(100_000)", "TAR_ENTRIES", 64, marks=pytest.mark.long),
        pytest.param("long_names(2000)", "TAR_ENTRIES", 64, marks=pytest.mark.long),
        pytest.param("warmup(2_000_000)", "WARMUP_INVALID", 16, marks=pytest.mark.long),
    ],
)
def test_memory_does_not_grow_with_the_archive(made: str, code: str, most_uncompressed: int) -> None:
    peak, grown, uncompressed, codes = measured(made)
    assert code in codes
    assert uncompressed <= most_uncompressed
    assert peak < 256
    assert grown < 64
