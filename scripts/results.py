"""Results of long commands that are committed: of which files they speak, and whether those have changed since.

`python -m scripts.results` names what is out of date (make test does); --strict fails on it (make test-long does).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "docs" / "results.json"
DIGEST_CHARACTERS = 16


@dataclass(frozen=True)
class Result:
    """What one long command measured. covers: patterns of the files that its figures depend on, from the root."""

    name: str
    command: str
    told_in: str
    covers: tuple[str, ...]


RESULTS = (
    Result(
        "faults",
        "make faults",
        "docs/faults.md",
        (
            "functions/modeldrop/**/*.py",
            "statemachine/*.json",
            "template.yaml",
            "tests/faults/*.py",
            "localcloud/sagemaker/*.py",
            "localcloud/cloudwatch/*.py",
            "localcloud/autoscaling.py",
        ),
    ),
    Result(
        "judge",
        "python -m benchmarks.judge.run",
        "docs/benchmarks/judge/README.md",
        ("functions/modeldrop/judge/*.py", "benchmarks/judge/*.py"),
    ),
)


def digest(result: Result, root: Path = ROOT) -> str:
    """Return the digest of the names and bytes of every file that a result covers."""
    whole = hashlib.sha256()
    for path in sorted({path for pattern in result.covers for path in root.glob(pattern)}):
        whole.update(f"{path.relative_to(root)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()[:DIGEST_CHARACTERS]


def kept(path: Path = KEPT) -> dict[str, Any]:
    """Read the results that are committed, by name."""
    document: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return document


def record(name: str, figures: Mapping[str, Any], root: Path = ROOT, path: Path = KEPT) -> None:
    """Keep a command's figures with the digest of what it covers now; KeyError names a result that is not known."""
    result = {one.name: one for one in RESULTS}[name]
    document = kept(path) | {name: {"digest": digest(result, root), **figures}}
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")


def out_of_date(root: Path = ROOT, path: Path = KEPT) -> Iterator[str]:
    """Say of each result whose files have changed since it was measured which command makes it anew."""
    known = kept(path)
    for result in RESULTS:
        if known.get(result.name, {}).get("digest") != digest(result, root):
            yield f"{result.told_in} was measured on other code: `{result.command}` measures it anew"


def main() -> int:
    """Print what is out of date; with --strict that is exit status 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strict", action="store_true", help="fail when a result is out of date")
    given = parser.parse_args()
    lines = list(out_of_date())
    for line in lines:
        print(line)
    return 1 if lines and given.strict else 0


if __name__ == "__main__":
    sys.exit(main())
