"""Links into the runbook, so that each message says where to read what to do."""

from __future__ import annotations

# where it lies in the repository; what a message says when the stack knows no page of it
RUNBOOK = "docs/runbook.md"


def runbook_link(base: str, anchor: str) -> str:
    """Return the runbook's entry. base: an https address, or empty; anchor: a heading's, as docs/runbook.md has it."""
    return f"{base or RUNBOOK}#{anchor}"
