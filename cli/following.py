"""A release of the stack: found by its id, and followed to its outcome."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from cli.console import print_json, say
from cli.failures import ANSWER_IS_NO, BROKEN, GOOD, CommandError

if TYPE_CHECKING:
    from cli.account import Stack
    from cli.looking import Look
    from cli.screen import Screen
    from modeldrop.aws.releases import ReleaseTable
    from modeldrop.release.record import ReleaseRecord

POLL_SECONDS = 1.0
ADMISSION_SECONDS = 60.0


def follow(
    stack: Stack, endpoint: str, release: str, screen: Screen, *, timeout_seconds: float | None = None
) -> ReleaseRecord:
    """Show a release until it has its outcome, and return its record; after the timeout as it is then."""
    from cli.looking import look

    table, began, deadline = stack.releases(), datetime.now(UTC), time.monotonic() + ADMISSION_SECONDS
    seen: Look | None = None
    while True:
        record = table.get(endpoint, release)
        if record is None and time.monotonic() > deadline:
            what = f"{release} was not admitted within {ADMISSION_SECONDS:.0f} s of its upload"
            raise CommandError(what, fix="look at the logs of AdmitFunction and at the dead-letter queue")
        if record is not None:
            seen = look(stack, record, began, datetime.now(UTC), seen)
            screen.show(seen)
            waited = time.monotonic() - deadline + ADMISSION_SECONDS
            if record.outcome or (timeout_seconds is not None and waited > timeout_seconds):
                return record
        time.sleep(POLL_SECONDS)


def find_release(table: ReleaseTable, release: str, status: int = ANSWER_IS_NO) -> ReleaseRecord:
    """Find a release by its id alone: it begins with the first 40 characters of its endpoint's name.

    status: what the command exits with where there is no such release.
    """
    prefix = release.rsplit("-", 2)[0]
    for endpoint in table.endpoints():
        if endpoint[:40].lower() == prefix.lower() and (record := table.get(endpoint, release)):
            return record
    raise CommandError(f"there is no release {release}", fix="modeldrop history ENDPOINT", status=status)


def exit_status(record: ReleaseRecord) -> int:
    """Return the exit status that says how a release ended."""
    from modeldrop.release.record import GOOD_OUTCOMES

    if record.outcome in GOOD_OUTCOMES:
        return GOOD
    return BROKEN if record.outcome == "failed" else ANSWER_IS_NO


def follow_and_exit(stack: Stack, endpoint: str, release: str, *, plain: bool, as_json: bool) -> None:
    """Follow a release to its outcome, and exit with the status that it means."""
    from cli.looking import why
    from cli.screen import QuietScreen, screen

    with QuietScreen() if as_json else screen(plain=plain) as shown:
        record = follow(stack, endpoint, release, shown)
    if as_json:
        print_json(asdict(record))
    else:
        say(f"{record.outcome}: {record.release}")
        say(f"  {why(record)}")
        say(f"more: modeldrop show {record.release}")
    raise typer.Exit(exit_status(record))
