"""The process that has TensorFlow imported and forks a model server for each fleet in milliseconds.

TensorFlow's import takes ten seconds and 500 MB; a fork shares both. No TensorFlow runtime may be started here, as
its threads would not survive a fork. Talks JSON lines over an inherited socket (`launcher` is the other end).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import resource
import selectors
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from localcloud.model_server.serve import ServerSpec, serve

PR_SET_PDEATHSIG = 1  # linux/prctl.h
LISTEN_BACKLOG = 512
READ_BYTES = 65536


class Zygote:
    """Forks on request, and reports each child's end."""

    def __init__(self, control: socket.socket) -> None:
        """control: the socket to the launcher; its end is this process's end."""
        self._control = control
        self._children: dict[int, str] = {}
        self._buffer = b""

    def run(self) -> None:
        """Serve until the launcher is gone; children get SIGKILL by their parent-death signal."""
        wake_read, wake_write = socket.socketpair()
        wake_write.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(wake_read, selectors.EVENT_READ)
            self._send({"event": "ready"})
            while True:
                for key, _ in selector.select():
                    if key.fileobj is wake_read:
                        wake_read.recv(READ_BYTES)
                        self._reap()
                    elif not self._receive():
                        return

    def _receive(self) -> bool:
        data = self._control.recv(READ_BYTES)
        if not data:
            return False
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            try:
                self._start(order)
            except OSError as error:  # no process or port to be had: to end here would end every fleet with it
                self._send({"event": "refused", "id": order["id"], "reason": str(error)})
        return True

    def _start(self, order: dict[str, Any]) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=LISTEN_BACKLOG)
        with listener:
            port = listener.getsockname()[1]
            pid = os.fork()
            if pid == 0:
                _become_server(order, listener, self._control)
        self._children[pid] = order["id"]
        self._send({"event": "started", "id": order["id"], "pid": pid, "port": port})

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = self._children.pop(pid, None)
            if name is not None:
                self._send({"event": "ended", "id": name, "status": os.waitstatus_to_exitcode(status)})

    def _send(self, message: dict[str, Any]) -> None:
        self._control.sendall(json.dumps(message).encode() + b"\n")


def _become_server(order: dict[str, Any], listener: socket.socket, control: socket.socket) -> None:
    """Turn this fork into a model server; never returns."""
    status = 1
    try:
        parent = os.getppid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control.close()
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.environ.update(order["environment"])
        os.chdir(order["directory"])
        spec = ServerSpec(
            Path(order["directory"]), order["environment"], order.get("fault", ""), order.get("fault_seconds", 0.0)
        )
        status = serve(listener, spec)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)  # TensorFlow's own end could hang, and there is nothing to save


def main() -> int:
    """Import TensorFlow, then fork on request: `python -m localcloud.model_server.zygote FD`."""
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # one fleet must not take all cores, and there is no GPU here
    os.environ.update({"OPENBLAS_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"})
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    tf.compat.v1.saved_model.load  # noqa: B018 resolves the lazily loaded modules before the first fork
    gc.collect()
    gc.freeze()  # the collector must not touch, and so copy, the pages that forks share
    Zygote(control).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
