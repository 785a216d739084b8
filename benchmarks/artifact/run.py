"""Measure the artifact reader beside gzip on float32 weights: `python benchmarks/artifact/run.py [MB] [ROUNDS]`.

Each round runs every reader once on the same file, so that a busy machine is as bad for all; medians are printed, and
the ratio to `gzip -dc` is the median of the rounds' ratios. igzip and rapidgzip are measured where they are installed.
"""

import hashlib
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy
from isal import igzip_lib

from modeldrop.artifact.findings import Findings
from modeldrop.artifact.gzip_stream import GzipReader
from modeldrop.artifact.tar_stream import TarReader

MEGABYTE = 1_000_000
PIECE = 256 * 1024
TOOLS = {
    "gzip -dc": ["gzip", "-dc"],
    "igzip -dc": ["igzip", "-dc"],
    "rapidgzip -P 2": ["rapidgzip", "-dc", "-P", "2"],
}


def main() -> None:
    size = int(sys.argv[1]) * MEGABYTE if len(sys.argv) > 1 else 2000 * MEGABYTE
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.tar.gz"
        make(path, size)
        readers: dict[str, Callable[[], None]] = {"modeldrop": lambda: ours(path)}
        for name, command in TOOLS.items():
            if shutil.which(command[0]):
                readers[name] = lambda command=command: tool([*command, str(path)])
        readers |= {
            "inflate alone, isal": lambda: inflate(
                path, igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE).decompress
            ),
            "inflate alone, zlib": lambda: inflate(path, zlib.decompressobj(-15).decompress),
            "sha256 alone": lambda: sha256(path),
        }
        seconds: dict[str, list[float]] = {name: [] for name in readers}
        for _ in range(rounds):
            for name, read in readers.items():
                began = time.perf_counter()
                read()
                seconds[name].append(time.perf_counter() - began)
        print(
            f"{size / MEGABYTE:.0f} MB of weights, {path.stat().st_size / MEGABYTE:.0f} MB compressed, {rounds} rounds"
        )
    for name, times in seconds.items():
        ratio = statistics.median(base / one for base, one in zip(seconds["gzip -dc"], times, strict=True))
        print(f"{name:22} {size / statistics.median(times) / MEGABYTE:6.0f} MB/s  {ratio:5.2f} x gzip -dc")
    print(f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def make(path: Path, size: int) -> None:
    """A tar of normally distributed weights, streamed through `gzip -6`."""
    weights = numpy.random.default_rng(7)
    with path.open("wb") as out:
        packer = subprocess.Popen(["gzip", "-6n"], stdin=subprocess.PIPE, stdout=out)
        assert packer.stdin
        member = tarfile.TarInfo("1/variables/variables.data-00000-of-00001")
        member.size = size
        packer.stdin.write(member.tobuf())
        left = size
        while left:
            part = (weights.standard_normal(4_000_000, dtype=numpy.float32) * 0.05).tobytes()[:left]
            packer.stdin.write(part)
            left -= len(part)
        packer.stdin.write(bytes(-size % 512 + 1024))
        packer.stdin.close()
        assert packer.wait() == 0


def ours(path: Path) -> None:
    """Every byte: gzip with CRC32 and length, tar, and sha256 of the file."""
    findings = Findings()
    with path.open("rb") as stream:
        source = GzipReader(stream, findings, 1 << 40, None)
        for member in TarReader(source, findings).members():
            while member.view_some(1 << 20):
                pass
        source.close()
    assert source.sha256 and not findings.checks()


def tool(command: list[str]) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def inflate(path: Path, decompress: Callable[[bytes], bytes]) -> None:
    with path.open("rb") as stream:
        stream.read(10)
        left = path.stat().st_size - 18
        while left:
            piece = stream.read(min(PIECE, left))
            left -= len(piece)
            decompress(piece)


def sha256(path: Path) -> None:
    with path.open("rb") as stream:
        hashlib.file_digest(stream, "sha256")


main()
