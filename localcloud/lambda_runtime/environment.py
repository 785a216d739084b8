"""An execution environment: one process that runs one function version, one event at a time."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from localcloud.lambda_runtime.runtime_api import Invocation, RuntimeApi, Signal
from localcloud.processes import spawner, stop_process

# Lambda developer guide, "Understanding the Lambda execution environment lifecycle": the Init phase has 10 seconds
INIT_SECONDS = 10.0
BOOTSTRAP = Path(__file__).with_name("bootstrap.py")


@dataclass(frozen=True)
class FunctionVersion:
    """Everything a process of one function version needs.

    key: changes whenever a new process is needed. timeout_seconds: for one event. paths: in the order of import.
    """

    key: str
    name: str
    version: str
    handler: str
    interpreter: str
    task_root: Path
    paths: tuple[Path, ...]
    variables: Mapping[str, str]
    timeout_seconds: float
    memory_mb: int
    log_group: str


@dataclass(frozen=True)
class Outcome:
    """How one invocation ended. error: the payload is an error document. log: what was written, as on AWS."""

    request_id: str
    payload: bytes
    error: bool
    log: str
    log_stream: str
    duration_ms: float


class Environment:
    """A runtime process with its Runtime API; `lock` is held by whoever uses it."""

    def __init__(self, function: FunctionVersion, runtime_directory: Path) -> None:
        self.function = function
        self.lock = threading.Lock()
        self.last_used = time.monotonic()
        self.log_stream = f"{datetime.now(UTC):%Y/%m/%d}/[{function.version}]{uuid.uuid4().hex}"
        self._scratch = Path(tempfile.mkdtemp(prefix="lambda-"))
        self._api = RuntimeApi()
        self._started = time.monotonic()
        self._init_ms: float | None = None
        self._fresh = True
        self._log = (self._scratch / "output").open("ab+")
        variables = {
            **_fixed_variables(function, self._api.address, runtime_directory, self._scratch / "tmp"),
            "AWS_LAMBDA_LOG_STREAM_NAME": self.log_stream,
            **function.variables,
        }
        (self._scratch / "tmp").mkdir()
        # -S: no site-packages, so a dependency that is not in the package fails as it would on AWS
        command = [function.interpreter, "-S", "-s", "-P", str(BOOTSTRAP), str(os.getpid()), function.handler]
        try:
            self._process = spawner().spawn(
                command, cwd=function.task_root, env=variables, stdout=self._log, stderr=subprocess.STDOUT
            )
        except Exception:  # the caller is told; its port and thread must not stay
            self._api.close()
            self._log.close()
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise
        threading.Thread(target=self._watch, name=f"lambda-{function.name}", daemon=True).start()

    @property
    def dead(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def invoke(self, payload: bytes, function_arn: str, trace_id: str) -> Outcome:
        """Run one event to its end; a timeout or a crash ends the process and is an error outcome."""
        request_id = str(uuid.uuid4())
        limit = self.function.timeout_seconds
        began = time.monotonic()
        self._api.submit(Invocation(request_id, payload, function_arn, trace_id, limit))
        answer = self._wait(limit)
        if answer is None:
            self._kill()
            self._log.write(f"{_now()} {request_id} Task timed out after {limit:.2f} seconds\n\n".encode())
            answer = _error(
                "Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {limit:.2f} seconds"
            )
        elif answer.kind == "exited":
            status = self._process.wait()
            how = f"exit status {status}" if status >= 0 else "signal: killed" if status == -9 else f"signal: {-status}"
            answer = _error("Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited with error: {how}")
        elif answer.kind == "init_error":
            self._kill()
        took_ms = (time.monotonic() - began) * 1000
        if self._fresh and self._init_ms is not None:
            took_ms = max(0.0, took_ms - self._init_ms)
        log = self._report(request_id, took_ms)
        self.last_used = time.monotonic()
        return Outcome(request_id, answer.payload, answer.kind != "response", log, self.log_stream, took_ms)

    def close(self) -> None:
        """End the process and remove its scratch files."""
        self._process.kill()
        stop_process(self._process)
        self._api.close()
        self._log.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _wait(self, limit: float) -> Signal | None:
        """Return what ended the event; None for a timeout."""
        try:
            init_left = max(0.0, self._started + INIT_SECONDS - time.monotonic())
            signal = self._api.signals.get(timeout=init_left + limit)
            return self._api.signals.get(timeout=limit) if signal.kind == "taken" else signal
        except queue.Empty:
            return None

    def _kill(self) -> None:
        """End the process at once, and be `dead` when this returns: nobody may be given this environment again."""
        self._process.kill()
        self._process.wait()

    def _watch(self) -> None:
        if self._api.ready.wait(INIT_SECONDS):
            self._init_ms = (time.monotonic() - self._started) * 1000
        self._process.wait()
        self._api.signals.put(Signal("exited"))

    def _report(self, request_id: str, duration_ms: float) -> str:
        """Return START, what the handler wrote, END and REPORT, and forget it."""
        self._log.flush()
        self._log.seek(0)
        written = self._log.read().decode(errors="replace")
        self._log.truncate(0)
        init = f"\tInit Duration: {self._init_ms:.2f} ms" if self._fresh and self._init_ms is not None else ""
        self._fresh = False
        lines = [f"START RequestId: {request_id} Version: {self.function.version}", *written.splitlines()]
        lines += [
            f"END RequestId: {request_id}",
            f"REPORT RequestId: {request_id}\tDuration: {duration_ms:.2f} ms"
            f"\tBilled Duration: {int(duration_ms) + 1} ms\tMemory Size: {self.function.memory_mb} MB{init}",
        ]
        return "\n".join(lines) + "\n"


def _fixed_variables(function: FunctionVersion, api: str, runtime: Path, scratch: Path) -> dict[str, str]:
    """Return the variables that Lambda itself sets (developer guide, "Defined runtime environment variables")."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "TMPDIR": str(scratch),
        "HOME": str(scratch),
        "AWS_LAMBDA_RUNTIME_API": api,
        "LAMBDA_TASK_ROOT": str(function.task_root),
        "LAMBDA_RUNTIME_DIR": str(runtime),
        "PYTHONPATH": os.pathsep.join(str(path) for path in (*function.paths, runtime)),
        "_HANDLER": function.handler,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        # nothing listens there and the trace is not sampled: the X-Ray SDK neither fails nor complains
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
        "_AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1",
        "_AWS_XRAY_DAEMON_PORT": "2000",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    }


def _error(kind: str, message: str) -> Signal:
    return Signal("error", json.dumps({"errorType": kind, "errorMessage": message}).encode())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
