"""The core's end of the zygote: start and end model servers, and hear when one ends by itself."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcloud.processes import module_command, spawner, stop_process

_LOG = logging.getLogger(__name__)
START_SECONDS = 120.0  # TensorFlow's import takes about 10 s; longer on a busy machine


class LaunchError(RuntimeError):
    """No model server can be started; says why."""


@dataclass
class ServerProcess:
    """A running model server. exit_status is None while it runs."""

    name: str
    port: int
    pid: int
    log: Path
    ended: threading.Event = field(default_factory=threading.Event)
    exit_status: int | None = None

    def kill(self) -> None:
        """End it hard, with whatever it started; what hangs can't object."""
        if not self.ended.is_set():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


class Launcher:
    """Starts the zygote in the background, and again should it die."""

    def __init__(self, directory: Path) -> None:
        """directory: where logs go."""
        self._directory = directory
        self._lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ready = threading.Event()
        self._servers: dict[str, ServerProcess] = {}
        self._waiting: dict[str, tuple[threading.Event, list[ServerProcess]]] = {}
        self._stopped = False

    def start(self) -> None:
        """Begin importing TensorFlow; returns at once."""
        with self._lock:
            if self._stopped or self._process is not None:
                return
            self._directory.mkdir(parents=True, exist_ok=True)
            ours, theirs = socket.socketpair()
            self._control, self._ready = ours, threading.Event()
            with theirs, (self._directory / "zygote.log").open("ab") as log:
                self._process = spawner().spawn(
                    module_command("localcloud.model_server.zygote", str(theirs.fileno())),
                    env={key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
                    pass_fds=(theirs.fileno(),),
                    stdout=log,
                    stderr=log,
                )
            threading.Thread(target=self._listen, args=(ours, self._ready), name="launcher", daemon=True).start()

    def launch(
        self, name: str, directory: Path, environment: dict[str, str], fault: str = "", fault_seconds: float = 0.0
    ) -> ServerProcess:
        """Fork a model server for a model directory; it answers once it has loaded.

        environment: the container's. Raises LaunchError when the zygote does not come up.
        """
        self.start()
        if not self._ready.wait(START_SECONDS) or self._control is None:
            raise LaunchError(
                f"TensorFlow was not imported within {START_SECONDS:.0f} s; see {self._directory}/zygote.log"
            )
        log = self._directory / f"{name}.log"
        arrived, answer = threading.Event(), list[ServerProcess]()
        self._waiting[name] = (arrived, answer)
        order: dict[str, Any] = {"id": name, "directory": str(directory), "environment": environment, "log": str(log)}
        line = json.dumps({**order, "fault": fault, "fault_seconds": fault_seconds}).encode() + b"\n"
        try:
            with self._send_lock:
                self._control.sendall(line)
        except OSError as error:
            self._waiting.pop(name, None)
            raise LaunchError(f"the process that starts model servers is gone: {error}") from None
        arrived.wait(START_SECONDS)
        self._waiting.pop(name, None)
        if not answer:
            raise LaunchError(f"model server {name} was not started; see {self._directory}/zygote.log")
        return answer[0]

    def stop(self) -> None:
        """End every model server and the zygote."""
        with self._lock:
            self._stopped = True
            process, self._process = self._process, None
        for server in list(self._servers.values()):
            server.kill()
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_RDWR)
        if process is not None:
            stop_process(process, grace_seconds=1.0)

    def _listen(self, control: socket.socket, ready: threading.Event) -> None:
        with contextlib.suppress(OSError), control.makefile("rb") as lines:
            for line in lines:
                try:
                    self._hear(json.loads(line), ready)
                except Exception:  # all that is started and ends later is heard here
                    _LOG.exception("what the zygote said: %.200r", line)
        # the zygote is gone, and its children with it: the next launch starts another
        with self._lock:
            process, self._process = self._process, None
            self._ready = threading.Event()
        if process is not None:
            stop_process(process, grace_seconds=1.0)
        for server in list(self._servers.values()):
            try:
                self._end(server, -signal.SIGKILL)
            except Exception:  # the others ended too
                _LOG.exception("the end of %s", server.name)
        for arrived, _ in list(self._waiting.values()):
            arrived.set()

    def _hear(self, message: dict[str, Any], ready: threading.Event) -> None:
        event, name = message["event"], message.get("id", "")
        if event == "ready":
            ready.set()
        elif event == "started":
            log = self._directory / f"{name}.log"
            self._servers[name] = server = ServerProcess(name, message["port"], message["pid"], log)
            waiting = self._waiting.pop(name, None)
            if waiting is None:
                server.kill()  # nobody waits any longer, and nobody else would ever end it
                return
            arrived, answer = waiting
            answer.append(server)
            arrived.set()
        elif event == "refused":
            _LOG.error("model server %s was not started: %s", name, message["reason"])
            if (waiting := self._waiting.pop(name, None)) is not None:
                waiting[0].set()
        elif event == "ended":
            ended = self._servers.get(name)
            if ended is not None:
                self._end(ended, message["status"])

    def _end(self, server: ServerProcess, status: int) -> None:
        self._servers.pop(server.name, None)
        server.exit_status = status
        server.ended.set()
        self.on_end(server)

    on_end: Callable[[ServerProcess], None] = staticmethod(lambda _server: None)
