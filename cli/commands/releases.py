"""Commands on releases: drop, watch, status, history, show."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands.artifacts import read_policy
from cli.console import print_json, print_table, say
from cli.failures import ANSWER_IS_NO, BROKEN, GOOD, CommandError
from cli.options import DEFAULT_STACK, AsJson, StackName
from modeldrop.release.reports import report_key

if TYPE_CHECKING:
    from cli.account import Stack
    from cli.looking import Look
    from cli.screen import Screen
    from modeldrop.aws.releases import ReleaseTable
    from modeldrop.release.record import ReleaseRecord

# eight hours of 10 s bins are under 1 MB
MAX_BINS_BYTES = 16 * 1024 * 1024
POLL_SECONDS = 1.0
ADMISSION_SECONDS = 60.0
Endpoint = Annotated[str, typer.Argument(show_default=False)]
Plain = Annotated[bool, typer.Option("--plain", help="Lines instead of a live view.")]


def drop(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    endpoint: Endpoint,
    label: Annotated[str, typer.Option(help="A word of yours for this release, such as v3.")] = "",
    policy: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="rollout.yaml to go with it.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it until its outcome.")] = False,
    plain: Plain = False,
    stack: StackName = DEFAULT_STACK,
    as_json: AsJson = False,
) -> None:
    """Upload a model; the stack does the rest.

    Example: modeldrop drop model.tar.gz sentiment --policy rollout.yaml --watch
    """
    from cli.account import find_stack
    from cli.dropping import drop_model

    found = find_stack(stack)
    release = drop_model(found, file, endpoint, label=label, policy=_checked(policy))
    if not watch:
        if as_json:
            print_json({"endpoint": endpoint, "release": release})
        else:
            say(f"dropped as {release}; follow it with: modeldrop watch {endpoint}")
        return
    follow_and_exit(found, endpoint, release, plain=plain, as_json=as_json)


def watch(endpoint: Endpoint, plain: Plain = False, stack: StackName = DEFAULT_STACK, as_json: AsJson = False) -> None:
    """Follow the newest release of an endpoint until its outcome; the exit status says what it was.

    Example: modeldrop watch sentiment
    """
    from cli.account import find_stack

    found = find_stack(stack)
    newest = _newest(found.releases(), endpoint)
    follow_and_exit(found, newest.endpoint, newest.release, plain=plain, as_json=as_json)


def status(
    endpoint: Annotated[str | None, typer.Argument(show_default=False)] = None,
    stack: StackName = DEFAULT_STACK,
    as_json: AsJson = False,
) -> None:
    """Show what is live on every endpoint, or on one, and what is on its way.

    Example: modeldrop status sentiment --json
    """
    from cli.account import find_stack
    from cli.looking import endpoint_status, progress

    found = find_stack(stack)
    table = found.releases()
    rows: list[dict[str, Any]] = []
    for name in [endpoint] if endpoint else sorted(table.endpoints()):
        live, recent = table.live(name), table.recent(name, 1, summary=True)
        if endpoint and not recent and not live.live:
            raise CommandError(f"no release of {name} is known to stack {stack}", fix=f"modeldrop drop FILE {name}")
        newest = recent[0] if recent else None
        rows.append(
            {
                "endpoint": name,
                "sagemaker_status": endpoint_status(found, name),
                "live": live.live or None,
                "previous": live.previous or None,
                "newest": newest.release if newest else None,
                "newest_state": (newest.outcome or newest.phase) if newest else None,
                "newest_progress": progress(_with_progress(table, newest)) if newest else None,
            }
        )
    if as_json:
        print_json(rows)
    elif not rows:
        say(f"nothing was dropped yet on stack {stack}. Next: modeldrop drop model.tar.gz ENDPOINT")
    else:
        for row in rows:
            row["newest_state"] = row["newest_progress"] or row["newest_state"]
        names = ("endpoint", "sagemaker_status", "live", "newest", "newest_state")
        print_table(
            ("endpoint", "SageMaker", "live", "newest release", "is"), [[_cell(row[n]) for n in names] for row in rows]
        )


def history(
    endpoint: Endpoint,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = 20,
    stack: StackName = DEFAULT_STACK,
    as_json: AsJson = False,
) -> None:
    """List the releases of an endpoint, newest first.

    Example: modeldrop history sentiment -n 5
    """
    from cli.account import find_stack
    from cli.looking import why

    records = find_stack(stack).releases().recent(endpoint, limit, summary=not as_json)
    if as_json:
        print_json([asdict(record) for record in records])
    elif not records:
        say(f"no release of {endpoint} is known to stack {stack}")
    else:
        rows = [(one.release, one.outcome or one.phase, one.uploaded_at, why(one)) for one in records]
        print_table(("release", "outcome", "uploaded", "why"), rows)


def show(
    release: Annotated[str, typer.Argument(show_default=False)],
    bins: Annotated[bool, typer.Option("--bins", help="Its bins instead, for modeldrop judge replay.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where the bins go; else stdout.")] = None,
    stack: StackName = DEFAULT_STACK,
    as_json: AsJson = False,
) -> None:
    """Show one release: its outcome, why, and what to do next; or the bins it was judged by.

    Example: modeldrop show sentiment-20261123201000-4f1c2a --bins -o bins.jsonl
    """
    from cli.account import find_stack
    from modeldrop.evidence.text import render_text

    found = find_stack(stack)
    record = find_release(found.releases(), release)
    if bins:
        _give_bins(found, record, output)
        return
    if as_json:
        print_json(asdict(record))
        return
    if record.evidence:
        say(render_text(record.evidence)[1].rstrip())
    else:
        say(f"Release   {record.release}\nPhase     {record.outcome or record.phase}\nUploaded  {record.uploaded_at}")
    say(f"Artifact  s3://{record.bucket}/{record.key} version {record.version_id}, {record.size_bytes:,} bytes")
    say(f"Reports   s3://{found.approved_bucket}/reports/{record.endpoint}/{record.release}/")


def _give_bins(stack: Stack, record: ReleaseRecord, output: Path | None) -> None:
    """Write the release's bins.jsonl as it is kept; its first line carries the policy and terms it was judged by."""
    s3 = stack.account.client("s3")
    try:
        answer = s3.get_object(Bucket=stack.approved_bucket, Key=report_key(record, "bins.jsonl"))
    except s3.exceptions.NoSuchKey:
        what = f"{record.release} has no bins: nothing was compared"
        raise CommandError(what, fix=f"modeldrop show {record.release}", status=ANSWER_IS_NO) from None
    text = answer["Body"].read(MAX_BINS_BYTES).decode()
    if output is None:
        print(text, end="")
    else:
        output.write_text(text)
        say(f"{output}: {len(text.splitlines())} bins; judge them again with: modeldrop judge replay {output}")


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


def _with_progress(table: ReleaseTable, record: ReleaseRecord) -> ReleaseRecord:
    """Read the whole record where it may say how far the reading of its artifact is."""
    reads = record.phase == "validating" and record.outcome is None
    return (table.get(record.endpoint, record.release) or record) if reads else record


def _newest(table: ReleaseTable, endpoint: str) -> ReleaseRecord:
    recent = table.recent(endpoint, 1, summary=True, consistent=True)
    if not recent:
        raise CommandError(
            f"no release of {endpoint} is known", fix=f"modeldrop drop FILE {endpoint}", status=ANSWER_IS_NO
        )
    return recent[0]


def _checked(policy: Path | None) -> bytes | None:
    """Refuse a policy the stack would refuse, before anything is uploaded."""
    from modeldrop.errors import PolicyRejectedError

    if policy is None:
        return None
    try:
        read_policy(policy)
    except PolicyRejectedError as error:
        raise CommandError(
            f"{policy} is refused: {error}", fix=f"modeldrop lint {policy}", status=ANSWER_IS_NO
        ) from None
    return policy.read_bytes()


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)
