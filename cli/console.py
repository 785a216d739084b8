"""How commands print: rich for people, JSON for programs, control characters of others' text never."""

from __future__ import annotations

import dataclasses
import json
import sys
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

OUTCOME_COLOURS = {
    "promoted": "green",
    "created": "green",
    "rolled_back": "red",
    "rejected": "yellow",
    "failed": "bold red",
    "aborted": "yellow",
    "parked": "yellow",
    "superseded": "dim",
}


@cache
def console() -> Console:
    """Return the console of stdout; imported late, so that --help is quick."""
    from rich.console import Console

    # without a terminal nothing should be cut at 80 columns
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def say(text: str = "") -> None:
    """Print a line of text as it is (no markup)."""
    console().print(clean(text), markup=False, soft_wrap=True)


def print_json(document: Any) -> None:
    """Print JSON; frozen values become objects, times ISO 8601."""
    print(json.dumps(document, indent=2, default=_plain))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Print a table; a cell that is an outcome gets its colour."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*[Text(clean(cell), style=OUTCOME_COLOURS.get(cell, "")) for cell in row])
    console().print(table)


def clean(text: str) -> str:
    """Drop control and direction-changing characters: keys, tags and AWS's texts are data, not terminal commands."""
    return "".join(
        one for one in text if one in "\n\t" or unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
