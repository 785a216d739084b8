"""Fuzz the readers, guided by coverage: `make fuzz`, or FUZZ_SECONDS=60 make fuzz. New seeds are kept.

A target gets its share of the time in a process of its own; a crash leaves its input in .tools/fuzz-crashes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from tests.fuzz.corpus_files import MAX_SEED_BYTES, keep, seeds

NAMES = ("gzip_stream", "tar_archive", "variables_index", "warmup_file", "policy_file")
CRASHES = Path(".tools/fuzz-crashes")


def main() -> int:
    """Fuzz every target; the number of those that crashed."""
    seconds = max(1, int(os.environ.get("FUZZ_SECONDS", "600")) // len(NAMES))
    CRASHES.mkdir(parents=True, exist_ok=True)
    return sum(_fuzz(name, seconds) for name in NAMES)


def _fuzz(name: str, seconds: int) -> int:
    with tempfile.TemporaryDirectory() as directory:
        grown = Path(directory)
        for seed in seeds(name):
            (grown / sha256(seed).hexdigest()[:16]).write_bytes(seed)
        limits = [f"-max_len={MAX_SEED_BYTES}", "-timeout=10", f"-artifact_prefix={CRASHES}/{name}-"]
        print(f"{name}: {seconds} s from {len(list(grown.iterdir()))} seeds", flush=True)
        if _child(name, *limits, f"-max_total_time={seconds}", "-print_final_stats=1", str(grown)):
            print(f"{name}: CRASHED; the input is in {CRASHES}", flush=True)
            return 1
        kept = keep(name, [path.read_bytes() for path in grown.iterdir()])
        print(f"{name}: {kept} seeds kept", flush=True)
        return 0


def _child(*arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "tests.fuzz.run", *arguments], check=False).returncode


def _run_target(name: str, arguments: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["modeldrop"]):
        from tests.fuzz.targets import TARGETS

    atheris.Setup([name, *arguments], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _run_target(sys.argv[1], sys.argv[2:])
    else:
        sys.exit(main())
