"""Child processes that never outlive this one, started from any thread.

`python -m localcloud.processes PARENT MODULE ARGUMENTS` runs a module that ends when process PARENT does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import cache
from typing import Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int | None = None, signum: int = signal.SIGTERM) -> None:
    """Ask the kernel (Linux) to send this process a signal when the thread that started it ends.

    parent: the process id that is expected; if it is already gone, this process ends at once.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        sys.exit(1)


class Spawner:
    """One thread that lives as long as the process and starts all children.

    The parent-death signal follows the thread that forked, so a child started from a request's thread would be killed
    with that request.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="spawner", daemon=True).start()

    def spawn(self, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a process (subprocess.Popen's options); in a session of its own, so that Ctrl-C reaches only us."""
        options.setdefault("start_new_session", True)
        options.setdefault("stdin", subprocess.DEVNULL)
        future: Future[subprocess.Popen[bytes]] = Future()
        self._work.put((lambda: subprocess.Popen(command, **options), future))
        return future.result()

    def _run(self) -> None:
        while True:
            start, future = self._work.get()
            try:
                future.set_result(start())
            except BaseException as error:
                future.set_exception(error)


@cache
def spawner() -> Spawner:
    """Return the one spawner of this process."""
    return Spawner()


def stop_process(process: subprocess.Popen[bytes], grace_seconds: float = 5.0) -> None:
    """Ask a process to end, insist after the grace, and reap it; its own children in its session go with it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this interpreter and ends with this process."""
    return [sys.executable, "-m", "localcloud.processes", str(os.getpid()), module, *arguments]


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
