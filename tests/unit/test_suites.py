"""The runner behind `make test`: real suites of a few lines, each in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from scripts.test import INTERRUPTED, LANES, NOTHING_SELECTED, ROOT, Ended, Suite, exit_status, play, summary

GOOD = "def test_good(): pass\n"
SKIPPED = "import pytest\n@pytest.mark.skip\ndef test_skipped(): pass\n"
# every way to go wrong, each beside a test that passes where that is possible
BAD = {
    "fails": GOOD + "def test_bad(): assert 0\n",
    "has-a-broken-fixture": GOOD + "import pytest\n@pytest.fixture\ndef bad(): assert 0\ndef test_bad(bad): pass\n",
    "is-not-importable": "import nothing_of_that_name\n",
    "ends-as-if-all-were-well": GOOD + "import os\ndef test_bad(): os._exit(0)\n",
    "is-killed": GOOD + "import os\ndef test_bad(): os.kill(os.getpid(), 9)\n",
}


@pytest.fixture(scope="module", autouse=True)
def no_plugins() -> Iterator[None]:
    """Suites of two lines start sooner without them."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        yield


def a_suite(directory: Path, name: str, content: str) -> Suite:
    folder = directory / name
    folder.mkdir()
    (folder / "test_it.py").write_text(content)
    return Suite(name, (str(folder),))


def played(directory: Path, *lanes: Sequence[Suite], options: Sequence[str] = ()) -> list[Ended]:
    ends, interrupted = play(lanes, options, directory / "work")
    assert not interrupted
    return ends


def last_line(ends: Sequence[Ended]) -> str:
    return summary(ends).splitlines()[-1]


def test_every_directory_of_tests_is_in_a_lane() -> None:
    in_lanes = {path for lane in LANES for suite in lane for path in suite.paths}
    assert in_lanes == {str(one.parent.relative_to(ROOT)) for one in ROOT.glob("tests/*/test_*.py")}


def test_counts_of_all_suites_are_added_on_the_last_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    talk = "import time\ndef test_talks():\n for n in range(5):\n  print('\\nsays {}')\n  time.sleep(0.05)\n"
    one, two = (a_suite(tmp_path, name, SKIPPED + GOOD + talk.format(name)) for name in ("one", "two"))
    ends = played(tmp_path, [one], [two], options=["-s"])
    assert exit_status(ends, interrupted=False) == 0
    assert last_line(ends) == "4 passed, 0 failed, 2 skipped"
    # they ran at once, and each is shown in one piece
    said = [line.split()[1] for line in capfd.readouterr().out.splitlines() if line.startswith("says ")]
    assert said in (["one"] * 5 + ["two"] * 5, ["two"] * 5 + ["one"] * 5)


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> list[Ended]:
    """Play a suite for each way to go wrong, and after the first one a good suite in the same lane."""
    directory = tmp_path_factory.mktemp("bad")
    first, *others = (a_suite(directory, name, content) for name, content in BAD.items())
    return played(directory, [first, a_suite(directory, "good", GOOD)], *([one] for one in others))


@pytest.mark.parametrize("name", BAD)
def test_a_suite_that_goes_wrong_fails_the_whole_and_is_named(bad: list[Ended], name: str) -> None:
    (end,) = (one for one in bad if one.suite.name == name)
    assert end.failed == 1
    assert any(line.startswith(("FAILED ", "ERROR ")) and name in line for line in summary([end]).splitlines())
    assert exit_status([end], interrupted=False) == 1


def test_a_suite_that_went_wrong_keeps_no_other_from_running(bad: list[Ended]) -> None:
    assert {one.suite.name for one in bad} == {*BAD, "good"}
    # a suite that was killed has told no count of those before
    assert last_line(bad) == "3 passed, 5 failed, 0 skipped"
    assert exit_status(bad, interrupted=False) == 1


def test_a_selection_may_leave_suites_out_but_not_all_of_them(tmp_path: Path) -> None:
    one, two = a_suite(tmp_path, "one", GOOD), a_suite(tmp_path, "two", "def test_other(): pass\n")
    ends = played(tmp_path, [one], [two], options=["-k", "other"])
    assert exit_status(ends, interrupted=False) == 0
    assert last_line(ends) == "1 passed, 0 failed, 0 skipped"
    left_out = [end for end in ends if end.suite == one]
    assert exit_status(left_out, interrupted=False) == NOTHING_SELECTED


def test_a_path_makes_it_one_plain_pytest() -> None:
    asked = [sys.executable, "-m", "scripts.test", "--collect-only", "-q", "-W", "ignore", str(Path(__file__))]
    said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert said.returncode == 0, said.stdout
    assert "test_a_path_makes_it_one_plain_pytest" in said.stdout
    assert "side by side" not in said.stdout


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """The runner with two suites that do not end by themselves, and the suites' process ids."""
    pids = tmp_path / "pids"
    pids.mkdir()
    wait = f"import os, time\ndef test_waits():\n open({str(pids)!r} + f'/{{os.getpid()}}', 'w')\n time.sleep(300)\n"
    lanes = [[a_suite(tmp_path, name, wait)] for name in ("one", "two")]
    script = f"""if True:
        from pathlib import Path
        from scripts.test import Suite, main
        raise SystemExit(main((), {lanes!r}, Path({str(tmp_path / "work")!r})))
    """
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as runner:
        try:
            deadline = time.monotonic() + 120
            while len(found := [int(one.name) for one in pids.iterdir()]) < len(lanes):
                assert time.monotonic() < deadline, "the suites did not start"
                time.sleep(0.05)
            yield runner, found
        finally:
            runner.kill()


def is_gone(pid: int, seconds: float = 60) -> bool:
    """Say whether a process ends in time; one that nobody has reaped yet has no command line."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if not Path(f"/proc/{pid}/cmdline").read_bytes():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_every_suite_and_is_no_success(
    endless: tuple[subprocess.Popen[str], list[int]], signum: signal.Signals
) -> None:
    runner, suites = endless
    runner.send_signal(signum)
    said, _ = runner.communicate(timeout=120)
    assert runner.returncode == INTERRUPTED
    assert said.splitlines()[-1] == "0 passed, 2 failed, 0 skipped"
    assert all(is_gone(pid) for pid in suites)


def test_no_suite_outlives_a_killed_runner(endless: tuple[subprocess.Popen[str], list[int]]) -> None:
    runner, suites = endless
    runner.kill()
    assert all(is_gone(pid) for pid in suites)
