"""Run the suites side by side and close with one line of counts (`make test` runs it).

Options for pytest go to every suite. With a path among them it is one plain pytest, as if typed by hand.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from localcloud.processes import module_command
from scripts.results import out_of_date

ROOT = Path(__file__).resolve().parents[1]
# output and pytest's cache of each suite
WORK = ROOT / ".localcloud" / "test"
POLL_SECONDS = 0.2
PATIENT_NICENESS = 15
SILENCE_SECONDS = 60.0
# pytest takes its fixtures down when interrupted; one that waits for a bake is not waited for
GRACE_SECONDS = 10.0
NOTHING_SELECTED = 5  # pytest's exit status, for instance of a -k that fits no test of a suite
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped)\b")
CLOSING = re.compile(r"(=+ )?(no tests|\d+ ).* in [\d.]+s( \(\S+\))?( =+)?")
SHORT_SUMMARY = "= short test summary info ="
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Suite:
    """Tests that run in a process of their own; paths are seen from the repository's root.

    patient: nothing in it waits for a clock, so it gives way to those that do.
    """

    name: str
    paths: tuple[str, ...]
    patient: bool = False


# a lane plays one suite after the other, lanes run at once: the slow ones mostly wait for bakes and alarms
LANES: tuple[tuple[Suite, ...], ...] = (
    (Suite("workflow", ("tests/workflow",)), Suite("faults", ("tests/faults",), patient=True)),
    (Suite("e2e", ("tests/e2e",)), Suite("conformance", ("tests/conformance",))),
    (Suite("unit", ("tests/unit", "tests/contract", "tests/fuzz"), patient=True),),
)


@dataclass(frozen=True)
class Ended:
    """What became of a suite; `failed` counts errors too and is never 0 for a suite that did not end well."""

    suite: Suite
    seconds: float
    status: int
    passed: int
    failed: int
    skipped: int
    bad: tuple[str, ...]  # the lines that name what failed

    @property
    def good(self) -> bool:
        """Say whether it found nothing wrong; a suite of which nothing was selected did not."""
        return self.status in (0, NOTHING_SELECTED)


class Running:
    """A suite under way: its process leads a session of its own and ends with this one."""

    def __init__(self, suite: Suite, options: Sequence[str], work: Path) -> None:
        self.suite = suite
        directory = work / suite.name
        directory.mkdir(parents=True, exist_ok=True)
        self.log = directory / "output.log"
        self._began = time.monotonic()
        arguments = ("-o", f"cache_dir={directory / 'cache'}", f"--color={'yes' if sys.stdout.isatty() else 'no'}")
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                module_command("pytest", *arguments, *options, *suite.paths),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if suite.patient:
            # a canary that is short of processor time is slow, and is rolled back for it, as it should be
            os.setpriority(os.PRIO_PROCESS, self.process.pid, PATIENT_NICENESS)

    def progress(self) -> str:
        """Return how far it is, as pytest counts."""
        shares = re.findall(r"\[ *(\d+%)\]", self.log.read_text(errors="replace"))
        return f"{self.suite.name} {shares[-1] if shares else '0%'}"

    def ended(self) -> Ended | None:
        """Return the end, None while there is none."""
        if self.process.poll() is None:
            return None
        return read_end(self.suite, time.monotonic() - self._began, self.process.returncode, self.log)

    def interrupt(self) -> None:
        """Ask it to end as Ctrl-C would."""
        self.process.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """Wait for the end of an interrupted suite, and after the grace kill what is left of its session."""
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(GRACE_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def read_end(suite: Suite, seconds: float, status: int, log: Path) -> Ended:
    """Read pytest's closing line; the exit status has the last word on whether anything failed."""
    lines = COLOUR.sub("", log.read_text(errors="replace")).splitlines()
    closing = next((line for line in reversed(lines) if CLOSING.fullmatch(line)), "")
    counts = {word.rstrip("s"): int(number) for number, word in COUNT.findall(closing)}
    failed = counts.get("failed", 0) + counts.get("error", 0)
    short = next((number for number, line in enumerate(lines) if SHORT_SUMMARY in line), len(lines))
    bad = tuple(line for line in lines[short:] if line.startswith(("FAILED ", "ERROR ")))
    if not closing or (status not in (0, NOTHING_SELECTED) and not bad):
        status, failed = status or 1, max(failed, 1)
        bad = (f"FAILED {suite.name}: pytest ended with status {status} before it was done, see {log}",)
    return Ended(suite, seconds, status, counts.get("passed", 0), failed, counts.get("skipped", 0), bad)


def play(lanes: Sequence[Sequence[Suite]], options: Sequence[str], work: Path) -> tuple[list[Ended], bool]:
    """Run every lane; how the suites ended, in that order, and whether it was interrupted."""
    waiting = [list(lane) for lane in lanes]
    running: dict[int, Running] = {}
    ends: list[Ended] = []
    began = said = time.monotonic()
    try:
        while any(waiting) or running:
            for number, lane in enumerate(waiting):
                if number not in running and lane:
                    running[number] = Running(lane.pop(0), options, work)
                if number in running and (end := running[number].ended()):
                    show(running.pop(number), end)
                    ends.append(end)
                    said = time.monotonic()
            if time.monotonic() - said >= SILENCE_SECONDS:
                said = time.monotonic()
                shares = ", ".join(one.progress() for one in running.values())
                print(f"after {said - began:.0f} s: {shares}", flush=True)
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        return ends, True
    else:
        return ends, False
    finally:
        for one in running.values():
            one.interrupt()
        for one in running.values():
            one.stop()
            if end := one.ended():
                show(one, end)
                ends.append(end)


def show(suite: Running, end: Ended) -> None:
    """Print all that a suite said, in one piece."""
    print(f"\n{end.suite.name}: {' '.join(end.suite.paths)}, {end.seconds:.0f} s", flush=True)
    sys.stdout.buffer.write(suite.log.read_bytes())
    sys.stdout.buffer.flush()


def summary(ends: Sequence[Ended]) -> str:
    """Return a line a suite, the names of what failed, and the counts alone on the last line."""
    lines = [f"{one.suite.name}: {counts([one])} in {one.seconds:.0f} s" for one in ends]
    return "\n".join([*lines, *(line for one in ends for line in one.bad), counts(ends)])


def counts(ends: Sequence[Ended]) -> str:
    """Return what passed, failed and was skipped, added up."""
    return ", ".join(f"{sum(getattr(one, word) for one in ends)} {word}" for word in ("passed", "failed", "skipped"))


def exit_status(ends: Sequence[Ended], interrupted: bool) -> int:
    """Return 0 when tests ran and all was well; as pytest, 5 when none was selected in any suite."""
    if interrupted:
        return INTERRUPTED
    if not all(one.good for one in ends):
        return 1
    return NOTHING_SELECTED if all(one.status == NOTHING_SELECTED for one in ends) else 0


def is_path_of_tests(argument: str) -> bool:
    """Say whether an argument names a file or directory of tests, or a test in one."""
    path = (ROOT / argument.split("::")[0]).resolve()
    return path.is_relative_to(ROOT / "tests") and path.exists()


def interrupt(_signum: int, _frame: FrameType | None) -> None:
    """End as on Ctrl-C, whichever signal asks for it."""
    raise KeyboardInterrupt


def main(options: Sequence[str], lanes: Sequence[Sequence[Suite]] = LANES, work: Path = WORK) -> int:
    """Run what the options select; 0 when every test that ran passed."""
    if any(is_path_of_tests(one) for one in options):
        os.execv(sys.executable, [sys.executable, "-m", "pytest", *options])  # noqa: S606 no shell is wanted
    # a handler, also of SIGINT: suites of a job in the background would inherit that it is ignored
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, interrupt)
    names = ", ".join(" then ".join(suite.name for suite in lane) for lane in lanes)
    print(f"running side by side: {names}; output in {work}", flush=True)
    ends, interrupted = play(lanes, options, work)
    old = "".join(f"out of date: {line}\n" for line in out_of_date())
    print(f"\n{'interrupted' if interrupted else 'all suites have ended'}\n{old}{summary(ends)}", flush=True)
    return exit_status(ends, interrupted)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
