"""Seeds in git: one base64 line each, a file a target."""

from __future__ import annotations

import base64
from pathlib import Path

DIRECTORY = Path(__file__).parent / "corpus"
MAX_SEED_BYTES = 4096
MAX_BYTES_A_TARGET = 24_000


def seeds(target: str) -> list[bytes]:
    """Every seed of a target."""
    path = DIRECTORY / f"{target}.txt"
    return [base64.b64decode(line) for line in path.read_text().splitlines()] if path.exists() else []


def keep(target: str, found: list[bytes]) -> int:
    """Write the smallest inputs, as many as may be in git; how many those are."""
    lines: list[str] = []
    for content in sorted(set(found), key=lambda one: (len(one), one)):
        line = base64.b64encode(content).decode()
        if len(content) <= MAX_SEED_BYTES and sum(map(len, lines)) + len(line) <= MAX_BYTES_A_TARGET:
            lines.append(line)
    DIRECTORY.mkdir(exist_ok=True)
    (DIRECTORY / f"{target}.txt").write_text("\n".join(lines) + "\n")
    return len(lines)
