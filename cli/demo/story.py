"""The demo's story: a local cloud, a real deployment, users, and six models dropped one after the other."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

from cli.account import Account, Stack, find_stack
from cli.console import print_table, say
from cli.demo.jobs import Job, root
from cli.demo.mailbox import Mailbox, Message
from cli.demo.results import EXPECTED, Drop, Story
from cli.demo.traffic import RATE_PER_SECOND, Seen, Traffic
from cli.dropping import drop_model
from cli.failures import CommandError
from cli.following import follow
from cli.screen import Screen, screen
from localcloud.cloud import LocalCloud
from modeldrop.aws import measurements
from modeldrop.aws.measurements import Scope
from modeldrop.judge.bins import period_start
from modeldrop.release.record import ReleaseRecord

ENDPOINT, STACK = "sentiment", "modeldrop"
# blue has some traffic of its own before there is anything to compare it with
TRAFFIC_LEAD_SECONDS = 5.0
DROP_TIMEOUT_SECONDS = 240.0
# the outcome is written first, then its message is sent
MESSAGE_SECONDS = 15.0


def run(*, plain: bool, port: int, keep: bool, json_file: Path | None) -> bool:
    """Tell the story on this terminal; True when everything went as expected."""
    signal.signal(signal.SIGTERM, _interrupt)
    policy = Path(__file__).with_name("rollout.yaml").read_bytes()
    with screen(plain=plain) as shown:
        story = tell(shown, root() / ".localcloud" / "demo", policy, port=port, at_end=_hold if keep else None)
    print_story(story)
    if json_file is not None:
        json_file.write_text(json.dumps(story.to_json(), indent=2) + "\n")
    return not story.problems()


def tell(
    shown: Screen,
    work: Path,
    policy: bytes,
    *,
    port: int = 0,
    at_end: Callable[[Screen, LocalCloud], None] | None = None,
) -> Story:
    """Play the story and return what happened; no process is left when this returns or raises.

    work: where builds and logs go, kept for the next time. at_end: called before the cloud is stopped.
    """
    began, seconds = time.monotonic(), dict[str, float]()
    with ExitStack() as left:
        models = _start_models(left, work)
        cloud = left.enter_context(LocalCloud.start(port))
        seconds["cloud"] = time.monotonic() - began
        shown.note(f"local cloud at {cloud.url} ({seconds['cloud']:.1f} s)")
        stack = _deploy(left, shown, cloud, work, seconds)
        mailbox = left.enter_context(Mailbox(stack, lambda message: _print_message(shown, message)))
        seconds["models"] = models.wait()
        shown.note(f"models trained, exported and packed in {seconds['models']:.1f} s")
        drops = [_drop(stack, shown, mailbox, "release-1", work, policy)]
        traffic: Traffic | None = None
        if drops[0].record.outcome == EXPECTED["release-1"]:
            traffic = left.enter_context(Traffic.start(ENDPOINT, cloud.environment()))
            shown.note(f"users ask {RATE_PER_SECOND} times a second from now on")
            time.sleep(TRAFFIC_LEAD_SECONDS)
            drops += [_drop(stack, shown, mailbox, name, work) for name in list(EXPECTED)[1:]]
            if not traffic.alive():
                raise CommandError("the users' process ended before the demo did")
        # counted at the end: the last requests of a fleet come in after its release has ended
        drops = [replace(one, canary_requests=canary_requests(stack, one.record)) for one in drops]
        if at_end is not None:
            at_end(shown, cloud)
        seen = traffic.stop() if traffic else Seen(())
        seconds["total"] = time.monotonic() - began
        if mailbox.failure is not None:
            raise mailbox.failure
        return Story(tuple(drops), seen, tuple(one.subject for one in mailbox.messages), seconds)


def print_story(story: Story) -> None:
    """Print the closing table, what users saw, and what is wrong."""
    columns = ("release", "outcome", "why", "canary requests", "failed requests users saw", "seconds")
    print_table(columns, story.rows())
    seen = story.seen
    if seen.requests:
        p50, p99 = seen.percentile_ms(50) or 0, seen.percentile_ms(99) or 0
        silence = seen.longest_silence_seconds()
        say(
            f"users: {len(seen.requests):,} requests, {len(seen.failed)} failed, p50 {p50:.1f} ms, p99 {p99:.1f} ms, "
            f"longest time without an answer {silence:.2f} s"
        )
    say(f"{story.seconds['total']:.0f} s in all")
    for problem in story.problems():
        say(f"NOT AS EXPECTED: {problem}")


def _start_models(left: ExitStack, work: Path) -> Job:
    arguments = ("build", "--out", str(work / "models"))
    job = Job("model build", "model", *arguments, log=work / "models.log", environment={"TF_CPP_MIN_LOG_LEVEL": "2"})
    left.callback(job.stop)
    return job


def _deploy(left: ExitStack, shown: Screen, cloud: LocalCloud, work: Path, seconds: dict[str, float]) -> Stack:
    """Run the real sam build and sam deploy; only the endpoint URL and the keys are not AWS's."""
    built = work / "sam"
    config = ("--config-file", str(root() / "samconfig.toml"))
    commands = {
        "sam build": ("build", *config, "--build-dir", str(built), "--cache-dir", str(work / "sam-cache")),
        "sam deploy": ("deploy", *config, "--template-file", str(built / "template.yaml"), "--stack-name", STACK),
    }
    environment = {
        **cloud.environment(),
        "SAM_CLI_TELEMETRY": "0",
        # functions that share their code share one build folder
        "SAM_CLI_BETA_BUILD_PERFORMANCE": "1",
        # sam reads all events of the stack at each poll, twice a second if not told otherwise
        "SAM_CLI_POLL_DELAY": "2",
        # sam looks for the runtime's python3.13 on the path
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
    }
    for name, arguments in commands.items():
        shown.note(f"{name} ...")
        log = work / f"{name.replace(' ', '-')}.log"
        job = Job(name, "samcli", *arguments, log=log, environment=environment)
        left.callback(job.stop)
        try:
            seconds[name] = job.wait()
        except CommandError as error:
            raise CommandError(f"{error}{_failed_resources(cloud)}") from None
        shown.note(f"{name} done in {seconds[name]:.1f} s (log: {log.relative_to(root()) if _inside(log) else log})")
    return find_stack(STACK, Account(cloud.environment()))


def _failed_resources(cloud: LocalCloud) -> str:
    """Say which resources failed, and why: sam's own table wraps the reasons at twenty characters."""
    from botocore.exceptions import ClientError

    try:
        events = Account(cloud.environment()).client("cloudformation").describe_stack_events(StackName=STACK)
    except ClientError:  # there is no stack: sam's own words are all there is
        return ""
    failed = [one for one in events["StackEvents"] if one["ResourceStatus"].endswith("_FAILED")]
    return "".join(f"\n{one['LogicalResourceId']}: {one.get('ResourceStatusReason', '')}" for one in failed)


def _drop(stack: Stack, shown: Screen, mailbox: Mailbox, name: str, work: Path, policy: bytes | None = None) -> Drop:
    """Drop one model, follow it to its outcome, and wait for the message that tells it."""
    built = {one["name"]: one for one in json.loads((work / "models" / "releases.json").read_text())["releases"]}
    accuracy = f", accuracy {built[name]['accuracy']:.1%}" if built[name]["accuracy"] is not None else ""
    shown.note("")
    shown.note(f"drop {name}: {built[name]['what']}{accuracy}", style="bold")
    at = time.time()
    release = drop_model(stack, work / "models" / built[name]["archive"], ENDPOINT, label=name, policy=policy)
    record = follow(stack, ENDPOINT, release, shown, timeout_seconds=DROP_TIMEOUT_SECONDS)
    until = time.time()
    mailbox.wait_for(release, MESSAGE_SECONDS)
    shown.note(f"{name} is {record.outcome} after {until - at:.0f} s")
    return Drop(name, release, at, until, record, canary_requests=None)


def canary_requests(stack: Stack, record: ReleaseRecord) -> int | None:
    """Count what green answered while it was a canary: from its first traffic to the shift of the rest, or to its end.

    Metric periods are counted whole, the one in which the rest was shifted is not; None where there was no canary.
    """
    passage: dict[str, Any] = record.rollout.get("passage", {}) if record.rollout else {}
    shifts, bakes = passage.get("shifts", []), passage.get("bakes", [])
    if not bakes or record.plan.get("first_release"):
        return None
    period = int(record.plan["metrics_every"])
    start = period_start(datetime.fromisoformat(shifts[0][0]), period)
    promoted = record.outcome == "promoted" and len(shifts) > 1
    until = period_start(datetime.fromisoformat(shifts[1][0] if promoted else record.finished_at), period)
    end = until if promoted else until + timedelta(seconds=period)
    green = {"green": Scope(record.endpoint, record.release)}
    found = measurements.counts(stack.account.client("cloudwatch"), green, start, end, period, None)
    return sum(one.requests for one in found["green"].values())


def _print_message(shown: Screen, message: Message) -> None:
    shown.note("\n  ".join((f"✉ {message.subject}", *message.lines)), style="magenta")


def _hold(shown: Screen, cloud: LocalCloud) -> None:
    """Keep the cloud until Ctrl-C."""
    shown.note("the cloud stays up until Ctrl-C:")
    for name, value in cloud.environment().items():
        shown.note(f"export {name}={value}")
    try:
        cloud.wait()
    except KeyboardInterrupt:
        shown.note("stopping")


def _inside(path: Path) -> bool:
    return path.is_relative_to(root())


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
