"""Bring a fleet up: fetch the model, start its server, wait for /ping; and take it down.

The texts of failures are those that DescribeEndpoint shows in FailureReason on AWS.
"""

from __future__ import annotations

import http.client
import itertools
import logging
import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from botocore.exceptions import ClientError

from localcloud.core import Core
from localcloud.model_server.archive import ArchiveError, unpack
from localcloud.model_server.launcher import Launcher, LaunchError, ServerProcess
from localcloud.sagemaker.faults import Faults
from localcloud.sagemaker.records import Fleet, Json

PING_SECONDS = 2.0  # the container must answer /ping within 2 s
PING_EVERY_SECONDS = 0.05  # AWS asks every 5 s; a local start is over by then
DEFAULT_HEALTH_SECONDS = 240  # healthy within 4 minutes
HANG_SECONDS = 3600  # how long an instance whose driver is too old is waited for; AWS: hours
RESTART_DELAY_SECONDS = 1.0
GPU_INSTANCE = re.compile(r"ml\.(p|g)[0-9]")
# TF 2.20 GPU images are CUDA 12.9; the default host's driver is older (deep-learning-containers #6187)
NEW_DRIVER_AMIS = ("al2-ami-sagemaker-inference-gpu-3-1", "al2023-ami-sagemaker-inference-gpu-4-1")
_LOG = logging.getLogger(__name__)
_GPU_TAG = re.compile(r":(\d+)\.(\d+)[^:]*-gpu")


class FleetError(Exception):
    """The fleet can't be brought up; the text is the FailureReason."""


class FleetCancelledError(Exception):
    """The endpoint is being deleted, or the rollout is over."""


class FleetHouse:
    """All fleets of this cloud."""

    def __init__(self, core: Core, launcher: Launcher, faults: Faults, changed: Callable[[], None]) -> None:
        """changed is called when a fleet got another port and routes are to be published."""
        self._core, self._launcher, self._faults, self._changed = core, launcher, faults, changed
        self._directory = core.directory / "fleets"
        self._numbers = itertools.count(1)
        self._by_process: dict[str, tuple[Fleet, Json]] = {}
        launcher.on_end = self._process_ended

    def new_name(self) -> str:
        """Return a name for a fleet that no other has."""
        return f"fleet-{next(self._numbers)}"

    def start(self, fleet: Fleet, settings: Json, check: Callable[[], None]) -> None:
        """Bring a fleet up and return when /ping is good.

        settings: the production variant. check is called while waiting and may raise to give up. Raises FleetError.
        """
        fault = self._faults.find(fleet.endpoint, "no_capacity")
        if fault is not None:
            raise FleetError(
                "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please "
                "retry using a different ML instance type or after some time."
            )
        self._wait_for_driver(fleet, settings, check)
        image = str(fleet.container.get("Image", ""))
        if "tensorflow" not in image:
            raise FleetError(f"the local cloud serves TensorFlow Serving images only, and {image!r} is not one")
        folder = self._fetch(fleet)
        check()
        if "-gpu" in image and not GPU_INSTANCE.match(str(settings.get("InstanceType", ""))):
            raise self._unhealthy(fleet)
        self._launch(fleet, settings, folder, check)

    def end(self, fleet: Fleet) -> None:
        """End a fleet hard and remove its files."""
        fleet.wanted = False
        if fleet.process is not None:
            self._by_process.pop(fleet.process.name, None)
            fleet.process.kill()
            fleet.process.ended.wait(2)
            fleet.process = None
        shutil.rmtree(self._directory / fleet.name, ignore_errors=True)

    def _launch(self, fleet: Fleet, settings: Json, folder: Path, check: Callable[[], None]) -> None:
        environment = {str(k): str(v) for k, v in (fleet.container.get("Environment") or {}).items()}
        fault = self._faults.find(fleet.endpoint, "slow_start", "crash", "never_healthy")
        seconds = float(settings.get("ContainerStartupHealthCheckTimeoutInSeconds") or DEFAULT_HEALTH_SECONDS)
        if fault is not None and fault.kind == "never_healthy" and fault.seconds:
            seconds = fault.seconds
        name = f"{fleet.name}-{next(self._numbers)}"
        kind, fault_seconds = (fault.kind, fault.seconds) if fault is not None else ("", 0.0)
        try:
            process = self._launcher.launch(name, folder, environment, kind, fault_seconds)
        except LaunchError as error:
            raise FleetError(f"the local cloud could not start a model server: {error}") from None
        fleet.process = process
        try:
            self._wait_for_ping(fleet, process, seconds, check)
        except BaseException:
            process.kill()
            raise
        self._by_process[name] = (fleet, settings)
        if process.ended.is_set():
            self._process_ended(process)

    def _wait_for_ping(self, fleet: Fleet, process: ServerProcess, seconds: float, check: Callable[[], None]) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            check()
            if process.ended.is_set():
                break
            if ping(process.port):
                return
            process.ended.wait(PING_EVERY_SECONDS)
        self._write_log(fleet, process)
        raise self._unhealthy(fleet)

    def _unhealthy(self, fleet: Fleet) -> FleetError:
        return FleetError(
            f"The primary container for production variant {fleet.variant} did not pass the ping health check. Please "
            "check CloudWatch logs for this endpoint."
        )

    def _wait_for_driver(self, fleet: Fleet, settings: Json, check: Callable[[], None]) -> None:
        """Hang where AWS hangs: the container needs a newer driver than the host has, and never starts."""
        tag = _GPU_TAG.search(str(fleet.container.get("Image", "")))
        new_cuda = tag is not None and (int(tag[1]), int(tag[2])) >= (2, 20)
        driver_is_old = new_cuda and settings.get("InferenceAmiVersion") not in NEW_DRIVER_AMIS
        deadline = time.monotonic() + HANG_SECONDS
        while driver_is_old or self._faults.find(fleet.endpoint, "wrong_ami") is not None:
            check()
            time.sleep(0.2)
            if time.monotonic() > deadline:
                raise self._unhealthy(fleet)

    def _fetch(self, fleet: Fleet) -> Path:
        """Bring the model's files into the fleet's own directory and return it."""
        home = self._directory / fleet.name
        target = home / "model"
        target.mkdir(parents=True, exist_ok=True)
        uri, packed = model_data(fleet.container)
        if uri is None:
            return target
        bucket, key = split_uri(uri)
        s3 = self._core.client("s3")
        try:
            if packed:
                archive = home / "model.tar.gz"
                s3.download_file(bucket, key, str(archive))
                unpack(archive, target)
                archive.unlink()
            else:
                _download_prefix(s3, bucket, key, target)
        except (ClientError, OSError) as error:
            raise FleetError(
                f'Failed to download model data for container "primary" from URL: "{uri}". Please ensure that there is '
                "an object located at the URL and that the role passed to CreateModel has permissions to download the "
                f"model. ({error})"
            ) from None
        except ArchiveError as error:
            raise FleetError(
                f'Failed to extract model data archive for container "primary" from URL "{uri}". Please ensure that '
                f"the object located at the URL is a valid tar.gz archive. ({error})"
            ) from None
        return target

    def _process_ended(self, process: ServerProcess) -> None:
        """Start a container again that ended by itself, as SageMaker does."""
        found = self._by_process.pop(process.name, None)
        if found is not None and found[0].wanted:
            threading.Thread(target=self._restart, args=(*found, process), name="restart", daemon=True).start()

    def _restart(self, fleet: Fleet, settings: Json, process: ServerProcess) -> None:
        self._write_log(fleet, process)

        def check() -> None:
            if not fleet.wanted:
                raise FleetCancelledError

        while fleet.wanted:
            time.sleep(RESTART_DELAY_SECONDS)
            try:
                self._launch(fleet, settings, self._directory / fleet.name / "model", check)
            except FleetCancelledError:
                return
            except FleetError:
                continue
            except Exception:  # the endpoint answers nothing until this thread has done its work
                _LOG.exception("the restart of %s", fleet.name)
                continue
            self._changed()
            return

    def _write_log(self, fleet: Fleet, process: ServerProcess) -> None:
        """Put the end of a container's output where AWS puts it; a log that can't be written stops nothing."""
        try:
            self._put_log(fleet, process)
        except Exception:
            _LOG.exception("the log of %s", fleet.name)

    def _put_log(self, fleet: Fleet, process: ServerProcess) -> None:
        group, stream = f"/aws/sagemaker/Endpoints/{fleet.endpoint}", f"{fleet.variant}/{process.name}"
        logs = self._core.client("logs")
        _unless_there(logs.create_log_group, logGroupName=group)
        _unless_there(logs.create_log_stream, logGroupName=group, logStreamName=stream)
        now = int(time.time() * 1000)
        lines = [line for line in process.log_tail(100).splitlines() if line.strip()]
        lines.append(
            f"the container ended with status {process.exit_status}" if process.ended.is_set() else "unhealthy"
        )
        events = [{"timestamp": now, "message": line} for line in lines]
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def ping(port: int) -> bool:
    """Tell whether a container answers /ping with 200 in time."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PING_SECONDS)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def model_data(container: Json) -> tuple[str | None, bool]:
    """Return where a container's model data is, and whether it is one tar.gz."""
    source: Any = (container.get("ModelDataSource") or {}).get("S3DataSource")
    if source:
        return str(source["S3Uri"]), source.get("CompressionType") == "Gzip"
    uri = container.get("ModelDataUrl")
    return (str(uri), True) if uri else (None, True)


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of s3://bucket/key, or of the https form of it."""
    parsed = urlparse(uri)
    if parsed.scheme == "s3":
        return parsed.netloc, parsed.path.lstrip("/")
    host, path = parsed.netloc, parsed.path.lstrip("/")
    if host.startswith(("s3.", "s3-", "localhost", "127.")):
        bucket, _, key = path.partition("/")
        return bucket, key
    return host.split(".s3")[0], path


def _unless_there(create: Callable[..., Any], **names: str) -> None:
    try:
        create(**names)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
            raise


def _download_prefix(s3: Any, bucket: str, prefix: str, target: Path) -> None:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for item in page.get("Contents", []):
            name = item["Key"].removeprefix(prefix).lstrip("/")
            place = (target / name).resolve()
            if not name or name.endswith("/") or not place.is_relative_to(target.resolve()):
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, item["Key"], str(place))
