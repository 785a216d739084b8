"""Users: a process that asks the endpoint at a steady rate, and what it saw.

`python -m cli.demo.traffic ENDPOINT --rate 25` is the process; it writes a JSON line twice a second, each with the
requests that ended since: [start (unix seconds), milliseconds, "" or what failed].
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from localcloud.processes import module_command, spawner, stop_process
from model.sentences import make_sentences

RATE_PER_SECOND = 25
WORKERS = 16
REPORT_SECONDS = 0.5
TEXTS, TEXTS_SEED = 500, 7
# a caller that would wait longer has given up
TIMEOUT_SECONDS = 10

Questions = queue.SimpleQueue[bytes | None]
Answers = queue.SimpleQueue[tuple[float, float, str]]


@dataclass(frozen=True)
class Request:
    """One request as its caller saw it; failure is empty where an answer came."""

    at: float
    milliseconds: float
    failure: str = ""


@dataclass(frozen=True)
class Seen:
    """What users saw in a span of time."""

    requests: tuple[Request, ...]

    @property
    def failed(self) -> tuple[Request, ...]:
        """Return the requests without an answer."""
        return tuple(one for one in self.requests if one.failure)

    def between(self, start: float, end: float) -> Seen:
        """Return what was asked in [start, end)."""
        return Seen(tuple(one for one in self.requests if start <= one.at < end))

    def percentile_ms(self, percent: float) -> float | None:
        """Return a latency of the answered requests (nearest rank); None without any."""
        times = sorted(one.milliseconds for one in self.requests if not one.failure)
        return times[max(0, math.ceil(percent / 100 * len(times)) - 1)] if times else None

    def longest_silence_seconds(self) -> float:
        """Return the longest time without any answer; infinite when there never was one."""
        answered = sorted(one.at + one.milliseconds / 1000 for one in self.requests if not one.failure)
        if not answered:
            return math.inf
        return max((b - a for a, b in itertools.pairwise(answered)), default=0.0)


class Traffic:
    """The process of users, from `start` to `stop`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._requests: list[Request] = []
        self._reader = threading.Thread(target=self._read, name="traffic", daemon=True)
        self._reader.start()

    @classmethod
    def start(cls, endpoint: str, environment: Mapping[str, str], rate: int = RATE_PER_SECOND) -> Traffic:
        """Begin to ask."""
        command = module_command("cli.demo.traffic", endpoint, "--rate", str(rate))
        return cls(spawner().spawn(command, env={**os.environ, **environment}, stdout=subprocess.PIPE))

    def seen(self) -> Seen:
        """Return what users saw until now."""
        return Seen(tuple(self._requests))

    def alive(self) -> bool:
        """Tell whether users still ask."""
        return self._process.poll() is None

    def stop(self) -> Seen:
        """Stop asking, wait for answers under way, and return everything that was seen."""
        stop_process(self._process, grace_seconds=TIMEOUT_SECONDS + 2)
        self._reader.join(2)
        return self.seen()

    def _read(self) -> None:
        if self._process.stdout is None:
            return
        with self._process.stdout as stream:
            for line in stream:
                self._requests.extend(Request(*one) for one in json.loads(line))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        stop_process(self._process, grace_seconds=1)
        self._reader.join(2)


def ask(endpoint: str, rate: int, stop: threading.Event) -> None:
    """Ask at a steady rate until told to stop; a slow answer delays nobody else's question."""
    import boto3
    from botocore.config import Config

    # one attempt: a retry would hide a failure from the count
    config = Config(
        read_timeout=TIMEOUT_SECONDS,
        retries={"total_max_attempts": 1},
        max_pool_connections=WORKERS,
        tcp_keepalive=True,
    )
    client = boto3.client("sagemaker-runtime", config=config)
    bodies = [json.dumps({"instances": [one.text]}).encode() for one in make_sentences(TEXTS, TEXTS_SEED)]
    asked: Questions = queue.SimpleQueue()
    ended: Answers = queue.SimpleQueue()
    workers = [threading.Thread(target=_work, args=(client, endpoint, asked, ended)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    began, number, reported = time.monotonic(), 0, time.monotonic()
    while not stop.is_set():
        asked.put(bodies[number % len(bodies)])
        number += 1
        stop.wait(max(0.0, began + number / rate - time.monotonic()))
        if time.monotonic() - reported >= REPORT_SECONDS:
            reported = time.monotonic()
            _report(ended)
    for _ in workers:
        asked.put(None)
    for worker in workers:
        worker.join()
    _report(ended)


def _work(
    client: Any,
    endpoint: str,
    asked: Questions,
    ended: Answers,
) -> None:
    while (body := asked.get()) is not None:
        at, began, failure = time.time(), time.perf_counter(), ""
        try:
            client.invoke_endpoint(
                EndpointName=endpoint, ContentType="application/json", Accept="application/json", Body=body
            )["Body"].read()
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"[:300]
        ended.put((at, (time.perf_counter() - began) * 1000, failure))


def _report(ended: Answers) -> None:
    found = []
    while not ended.empty():
        at, milliseconds, failure = ended.get()
        found.append([round(at, 3), round(milliseconds, 2), failure])
    print(json.dumps(found), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask until SIGTERM."""
    import signal

    parser = argparse.ArgumentParser(prog="python -m cli.demo.traffic", description=__doc__)
    parser.add_argument("endpoint")
    parser.add_argument("--rate", type=int, default=RATE_PER_SECOND, help="requests a second (%(default)s)")
    options = parser.parse_args(arguments)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    ask(options.endpoint, options.rate, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
