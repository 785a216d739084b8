"""What steps read at 100 and at 10,000 releases of one endpoint: python -m benchmarks.records.run [MANY].

The emulator (moto's server) runs in a process of its own, so that AcquireLease's peak memory is its process's alone.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import boto3

from benchmarks.records.steps import BIG, Counted, Reads, every_step, fill, newcomer
from tests.unit.aws_builders import ENVIRONMENT, REGION, UPLOADS, table_request

FEW = 100
OTHERS, OF_EACH = 99, 20
MAX_ACQUIRE_MB = 128


def main() -> None:
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = "import sys; from moto.server import main; main(sys.argv[1:])"
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    emulator = subprocess.Popen([sys.executable, "-c", start, "-H", "127.0.0.1", "-p", str(port)], **quiet)
    try:
        environment(port)
        wait_for(port)
        boto3.client("s3").create_bucket(Bucket=UPLOADS, CreateBucketConfiguration={"LocationConstraint": REGION})
        compare(*(measured(f"releases-{count}", count) for count in (FEW, many)), many)
    finally:
        emulator.terminate()
        emulator.wait(10)


def environment(port: int) -> None:
    """Reach the emulator, from here and from the children."""
    os.environ.update(ENVIRONMENT)
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
        AWS_ACCESS_KEY_ID="testing",
        AWS_SECRET_ACCESS_KEY="testing",
        AWS_REGION=REGION,
        AWS_DEFAULT_REGION=REGION,
        POWERTOOLS_TRACE_DISABLED="true",
    )


def wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError("the emulator did not start within 20 s")


def measured(name: str, count: int) -> tuple[dict[str, Reads], int, int]:
    """Fill a table, and return what each step reads, and AcquireLease's memory in MB before and at its peak."""
    from modeldrop.aws import clients
    from modeldrop.aws.releases import ReleaseTable

    client = boto3.client("dynamodb")
    client.create_table(TableName=name, **table_request())
    began = time.perf_counter()
    fill(client, name, BIG, range(count))
    for number in range(OTHERS):
        fill(client, name, f"other-{number}", range(OF_EACH))
    print(f"{count:,} releases of one endpoint and {OTHERS} x {OF_EACH}: {time.perf_counter() - began:.0f} s to write")
    os.environ["RELEASE_TABLE"] = name
    child = subprocess.run(
        [sys.executable, "-c", "from benchmarks.records.steps import acquire_alone; acquire_alone()"],
        capture_output=True,
        text=True,
        check=True,
    )
    idle, peak = (int(one) for one in child.stdout.split())
    counted = Counted(client)
    clients.dynamodb = lambda: counted  # type: ignore[assignment,return-value]  # it answers as a client does
    table = ReleaseTable(name, counted)  # type: ignore[arg-type]  # as above
    return every_step(counted, table, newcomer(table)), idle, peak


def compare(few: tuple[dict[str, Reads], int, int], all_: tuple[dict[str, Reads], int, int], many: int) -> None:
    """Print what was read at both sizes; AssertionError where it is not the same, or takes too much memory."""
    print(f"{'step':14}{'items':>7}{'bytes':>9}  calls")
    for step, reads in all_[0].items():
        calls = ", ".join(f"{times} {name}" for name, times in Counter(reads.calls).items())
        print(f"{step:14}{reads.items:>7}{reads.item_bytes:>9,}  {calls}")
    print(f"AcquireLease's process: {all_[1]} MB before the call, {all_[2]} MB at its peak ({few[2]} MB at {FEW})")
    assert few[0] == all_[0], f"a step reads more at {many:,} than at {FEW}: {few[0]}"
    assert all_[2] < MAX_ACQUIRE_MB, f"AcquireLease took {all_[2]} MB"
    print(f"the same at {FEW} and at {many:,} releases")


if __name__ == "__main__":
    main()
