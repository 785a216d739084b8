"""The local cloud starts fast, says what it lacks, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localcloud.cloud import LocalCloud, LocalCloudError


def _processes_of(session_marker: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if session_marker in command:
                found.append(command)
    return found


def test_a_cloud_answers_calls_after_start(client):
    assert client("sts").get_caller_identity()["Account"] == "123456789012"


def test_a_port_in_use_is_a_clear_error():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(LocalCloudError, match="choose another"):
        LocalCloud.start(taken.getsockname()[1])


def test_attaching_to_nothing_is_a_clear_error():
    with pytest.raises(LocalCloudError, match="no local cloud answers"):
        LocalCloud.attach("http://localhost:9")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_survives_the_end_of_up(signum):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    began = time.monotonic()
    # a job in the background ignores SIGINT and would hand that down; a handler is not handed down
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    up = subprocess.Popen(
        [sys.executable, "-m", "localcloud", "up", "--port", str(port)], stdout=subprocess.PIPE, env=dict(os.environ)
    )
    signal.signal(signal.SIGINT, before)
    with up:
        try:
            assert up.stdout is not None
            assert f"http://localhost:{port}".encode() in up.stdout.readline()
            print(f"up in {time.monotonic() - began:.1f} s")
            marker = f"--public-url http://localhost:{port} "
            assert _processes_of(marker)
            up.send_signal(signum)
            up.wait(60)
        finally:
            up.kill()
        deadline = time.monotonic() + 60
        while (left := _processes_of(marker)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert left == []
        if signum is not signal.SIGKILL:
            assert up.returncode == 0
