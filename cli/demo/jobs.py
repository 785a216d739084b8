"""Programs the demo runs: their output goes to a log, which is shown when they fail."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from cli.failures import CommandError
from localcloud.processes import module_command, spawner, stop_process

TAIL_LINES = 25


class Job:
    """A Python module that runs as a process of its own and ends with this one."""

    def __init__(self, name: str, module: str, *arguments: str, log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self._log = log
        self._began = time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as stream:
            self._process = spawner().spawn(
                module_command(module, *arguments),
                env={**os.environ, **environment},
                cwd=root(),
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        self._ended = self._began
        self._watcher = threading.Thread(target=self._watch, name=name, daemon=True)
        self._watcher.start()

    def wait(self, timeout_seconds: float = 300.0) -> float:
        """Wait for a good end and return the seconds it took; CommandError shows the end of the log."""
        try:
            status = self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            raise CommandError(f"{self.name} is not done after {timeout_seconds:.0f} s{self._tail()}") from None
        if status != 0:
            raise CommandError(f"{self.name} ended with status {status}{self._tail()}")
        self._watcher.join()
        return self._ended - self._began

    def _watch(self) -> None:
        """Note when it ended: `wait` may be called long after."""
        self._process.wait()
        self._ended = time.monotonic()

    def stop(self) -> None:
        """End it, if it still runs."""
        stop_process(self._process, grace_seconds=2)

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return f"; the end of {self._log}:\n  " + "\n  ".join(lines)


def root() -> Path:
    """Return the directory with template.yaml."""
    return Path(__file__).resolve().parents[2]
