"""Start, reach and stop a local cloud from Python: `with LocalCloud.start() as cloud: ...`."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from localcloud.processes import module_command, spawner, stop_process

REGION = "us-east-1"
START_SECONDS = 120.0  # usually three; a busy machine may need much more before it is a fault
LOG_TAIL_LINES = 25


class LocalCloudError(RuntimeError):
    """The local cloud did not start, is gone, or refused an admin call; the message says which and why."""


class LocalCloud:
    """A running local cloud: its address, its environment, and its end."""

    def __init__(self, url: str, processes: dict[str, subprocess.Popen[bytes]], directory: Path | None) -> None:
        """Use `start` or `attach`."""
        self.url = url
        self._processes = processes
        self._directory = directory

    @classmethod
    def start(cls, port: int = 0, directory: Path | None = None) -> LocalCloud:
        """Start a cloud on a port (0: any free one) and return when it answers.

        directory: where it may keep scratch files and logs; by default a temporary one, removed at the end.
        Raises LocalCloudError when the port is taken or a process ends during the start, with the end of its log.
        """
        port = _free_port(port)
        scratch = directory or Path(tempfile.mkdtemp(prefix="localcloud-"))
        scratch.mkdir(parents=True, exist_ok=True)
        cloud = cls(f"http://localhost:{port}", {}, scratch)
        cloud._remove_directory = directory is None
        try:
            cloud._start_processes(port)
            cloud._wait_until_healthy()
        except BaseException:
            cloud.stop()
            raise
        return cloud

    @classmethod
    def attach(cls, url: str) -> LocalCloud:
        """Reach a cloud that is already running; `stop` then leaves it running, `shutdown` ends it."""
        cloud = cls(url.rstrip("/"), {}, None)
        cloud.admin("health", {})
        return cloud

    _remove_directory = False

    @property
    def directory(self) -> Path | None:
        """Scratch files and logs; None for a cloud that was attached to."""
        return self._directory

    def environment(self) -> dict[str, str]:
        """Return the variables that point boto3, the AWS CLI and SAM at this cloud."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            # without it an SDK that finds no key asks a link-local address, and waits
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def admin(self, path: str, body: dict[str, Any] | None = None, timeout_seconds: float = 30.0) -> Any:
        """Call an admin route (`faults`, `health`, ...) and return its JSON answer."""
        request = urllib.request.Request(  # noqa: S310 always http to our own address
            f"{self.url}/_localcloud/{path}", json.dumps(body or {}).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout_seconds) as answer:  # noqa: S310
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode(errors="replace")
            raise LocalCloudError(f"admin call {path} answered {error.code}: {text[:2000]}") from None
        except (OSError, ValueError) as error:
            raise LocalCloudError(f"no local cloud answers at {self.url}: {error}") from None

    def wait(self) -> str:
        """Block until one of the processes ends and return which."""
        while True:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    return name
            time.sleep(0.2)

    def exit_status(self, name: str) -> int | None:
        """Return how a process ended; None while it runs."""
        return self._processes[name].poll()

    def alive(self) -> bool:
        """Tell whether every process that was started still runs."""
        return bool(self._processes) and all(process.poll() is None for process in self._processes.values())

    def shutdown(self) -> None:
        """End the cloud, also one that was attached to."""
        self.admin("shutdown", {})
        self.stop()

    def stop(self) -> None:
        """End every process this object started, front first, and remove the scratch files it made."""
        for name in reversed(self._processes):
            stop_process(self._processes[name])
        self._processes = {}
        if self._directory is not None and self._remove_directory:
            shutil.rmtree(self._directory, ignore_errors=True)

    def log_tail(self, name: str) -> str:
        """Return the last lines that a process (core, front) wrote."""
        if self._directory is None:
            return ""
        path = self._directory / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]) if path.exists() else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _start_processes(self, port: int) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
            # the open socket is handed over, so that nobody else can take the port in between
            descriptor, core_port = listener.fileno(), listener.getsockname()[1]
            arguments = ["--listen-fd", str(descriptor), "--public-url", self.url, "--directory", str(self._directory)]
            self._spawn("core", module_command("localcloud.server", *arguments), pass_fds=(descriptor,))
        ports = ["--port", str(port), "--core-port", str(core_port)]
        self._spawn("front", module_command("localcloud.front", *ports))

    def _spawn(self, name: str, command: list[str], pass_fds: tuple[int, ...] = ()) -> None:
        # what users configure for the real AWS must not leak into the cloud's own calls
        kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        own = {key: value for key, value in self.environment().items() if key != "AWS_ENDPOINT_URL"}
        root = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        if self._directory is None:
            raise LocalCloudError("a cloud that was attached to has no processes to start")
        with (self._directory / f"{name}.log").open("ab") as log:
            self._processes[name] = spawner().spawn(
                command, env={**kept, **own, "PYTHONPATH": path}, stdout=log, stderr=log, pass_fds=pass_fds
            )

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        problem = "no answer"
        while time.monotonic() < deadline:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise LocalCloudError(
                        f"the local cloud's {name} ended with status {process.returncode} during the start:\n"
                        f"{self.log_tail(name)}"
                    )
            try:
                health = self.admin("health", {}, timeout_seconds=5)
            except LocalCloudError as error:
                problem = str(error)
            else:
                if isinstance(health, dict) and health.get("status") == "ok":
                    return
                problem = f"health is {health}"
            time.sleep(0.05)
        raise LocalCloudError(
            f"the local cloud is not healthy after {START_SECONDS:.0f} s: {problem}\n{self.log_tail('core')}"
        )


def _free_port(port: int) -> int:
    """Return the port, or a free one for 0; raises LocalCloudError when it is taken."""
    try:
        with socket.create_server(("127.0.0.1", port)) as probe:
            return int(probe.getsockname()[1])
    except OSError as error:
        raise LocalCloudError(
            f"port {port} cannot be opened ({error.strerror}): stop what uses it, or choose another with --port"
        ) from None
