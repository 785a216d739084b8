"""Execution environments, cold and warm: one process a concurrent event, kept for the next."""

from __future__ import annotations

import json
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from localcloud.core import Core
from localcloud.lambda_runtime.environment import Environment, FunctionVersion, Outcome
from localcloud.lambda_runtime.package import CodeStore, build_runtime_directory, interpreter_for

IDLE_SECONDS = 600.0  # AWS does not publish its figure; ten minutes keeps a session warm


class TooManyRequestsError(Exception):
    """The function's reserved concurrency is used up."""


class Pool:
    """Starts, reuses and ends the environments of every function version."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._environments: dict[str, list[Environment]] = {}
        self._lock = threading.Lock()
        self._runtime = build_runtime_directory(core.directory / "lambda-runtime")
        self.code = CodeStore(core.directory / "lambda-code")

    def invoke(self, function: Any, payload: bytes, function_arn: str, trace_id: str | None = None) -> Outcome:
        """Run one event of one of moto's functions; raises TooManyRequestsError, ValueError for a foreign runtime."""
        version = self._describe(function)
        environment = self._acquire(version, _reserved_concurrency(function))
        try:
            return environment.invoke(payload, function_arn, trace_id or _trace_id())
        finally:
            environment.lock.release()
            if environment.dead:
                self._discard(environment)

    def prepare(self, function: Any) -> None:
        """Unpack and compile a function's package ahead of its first event."""
        try:
            interpreter = interpreter_for(function.run_time)
        except ValueError:
            return  # deploying is allowed, invoking will say what is missing
        self.code.unpack(function.code_digest, function.code_bytes, interpreter)

    def retire(self, function_name: str) -> None:
        """End the idle environments of a function that was deleted or changed."""
        with self._lock:
            idle = [
                environment
                for environments in self._environments.values()
                for environment in environments
                if environment.function.name == function_name and environment.function.version == "$LATEST"
                if environment.lock.acquire(blocking=False)
            ]
        for environment in idle:
            self._discard(environment)

    def reap(self) -> None:
        """End environments that have been idle for long."""
        with self._lock:
            old = [
                environment
                for environments in self._environments.values()
                for environment in environments
                if time.monotonic() - environment.last_used > IDLE_SECONDS
                if environment.lock.acquire(blocking=False)
            ]
        for environment in old:
            self._discard(environment)

    def close(self) -> None:
        """End every process."""
        self.code.close()
        with self._lock:
            everything = [environment for environments in self._environments.values() for environment in environments]
            self._environments = {}
        for environment in everything:
            environment.close()

    def _acquire(self, version: FunctionVersion, reserved: int | None) -> Environment:
        with self._lock:
            if reserved is not None and self._busy(version.name) >= reserved:
                raise TooManyRequestsError(version.name)
            environments = self._environments.setdefault(version.key, [])
            for environment in environments:
                if not environment.dead and environment.lock.acquire(blocking=False):
                    return environment
            environment = Environment(version, self._runtime)
            environment.lock.acquire()
            environments.append(environment)
            return environment

    def _busy(self, name: str) -> int:
        """Count the events that run now, over all versions of a function."""
        everything = (environment for environments in self._environments.values() for environment in environments)
        return sum(each.function.name == name and not each.dead and each.lock.locked() for each in everything)

    def _discard(self, environment: Environment) -> None:
        with self._lock:
            environments = self._environments.get(environment.function.key, [])
            if environment in environments:
                environments.remove(environment)
        environment.close()

    def _describe(self, function: Any) -> FunctionVersion:
        """Read what is needed from moto's function object."""
        interpreter = interpreter_for(function.run_time)
        root = self.code.unpack(function.code_digest, function.code_bytes, interpreter)
        layers = [self._layer(function, layer["Arn"], interpreter) for layer in function.layers]
        variables = {
            "AWS_REGION": function.region,
            "AWS_DEFAULT_REGION": function.region,
            "AWS_ENDPOINT_URL": self._core.public_url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
            **{name: str(value) for name, value in function.environment_vars.items()},
        }
        log_group = (getattr(function, "logging_config", None) or {}).get("LogGroup") or function.logs_group_name
        identity = [function.function_name, str(function.version), function.code_digest, function.handler, variables]
        identity += [function.timeout, function.memory_size, [str(path) for path in layers], log_group]
        return FunctionVersion(
            key=json.dumps(identity, sort_keys=True),
            name=function.function_name,
            version=str(function.version),
            handler=function.handler,
            interpreter=interpreter,
            task_root=root,
            paths=(root, *layers),
            variables=variables,
            timeout_seconds=float(function.timeout),
            memory_mb=int(function.memory_size),
            log_group=log_group,
        )

    def _layer(self, function: Any, arn: str, interpreter: str) -> Path:
        from moto.awslambda.models import lambda_backends

        layer = lambda_backends[function.account_id][function.region].layers_versions_by_arn(arn)
        if layer is None:
            raise ValueError(f"layer {arn} does not exist")
        return self.code.unpack(layer.code_digest, layer.code_bytes, interpreter) / "python"


def _reserved_concurrency(function: Any) -> int | None:
    """Return the limit set on the function, which its versions share; None when there is none."""
    from moto.awslambda.models import lambda_backends

    latest = lambda_backends[function.account_id][function.region].get_function(function.function_name)
    return None if latest.reserved_concurrency is None else int(latest.reserved_concurrency)


def _trace_id() -> str:
    return f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Parent={uuid.uuid4().hex[:16]};Sampled=0"
