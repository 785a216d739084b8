"""Deployment guardrails in real time: provision green, shift traffic step by step, bake, and promote or roll back.

Sources: developer guide, "Deployment guardrails" (canary, linear, rolling, auto-rollback); SageMaker API reference,
UpdateEndpoint and DescribeEndpoint. One thread runs one rollout.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

from localcloud.cloudwatch import alarms
from localcloud.sagemaker import records
from localcloud.sagemaker.faults import Faults
from localcloud.sagemaker.fleets import FleetCancelledError, FleetError, FleetHouse
from localcloud.sagemaker.guardrails import Plan, Step
from localcloud.sagemaker.records import Endpoint, EndpointConfig, Fleet, Pending, Variant
from localcloud.sagemaker.routing import Router

ALARM_LOOK_SECONDS = 1.0
_LOG = logging.getLogger(__name__)


class RollbackError(Exception):
    """The rollout ends on the old config; the text becomes FailureReason, empty where AWS gives none."""


class Hosting(Protocol):
    """What a rollout needs of the hosting that began it; everything mutable is changed under `lock`."""

    lock: threading.RLock
    faults: Faults
    router: Router
    house: FleetHouse

    def new_fleet(
        self, endpoint: Endpoint, variant: Variant, config: EndpointConfig, *, published_config: bool
    ) -> Fleet:
        """Return a fleet for a variant, not started yet."""

    def set_status(self, endpoint: Endpoint, status: str) -> None:
        """Change a status and tell of it."""

    def deployment_changed(self, endpoint: Endpoint) -> None:
        """Tell of a step of a rollout."""


class Rollout:
    """One UpdateEndpoint."""

    def __init__(
        self, hosting: Hosting, endpoint: Endpoint, config: EndpointConfig, green: dict[str, Variant], plan: Plan
    ) -> None:
        """green: the variants of the new config, without fleets yet. Call under the hosting lock."""
        self._hosting, self._endpoint, self._config, self._plan = hosting, endpoint, config, plan
        self._green = green
        self._blue_counts = {name: variant.instances for name, variant in endpoint.variants.items()}
        self._pending = Pending(config.name, time.time(), green)
        self._deadline = time.monotonic() + plan.timeout_seconds
        endpoint.pending = self._pending

    def start(self) -> None:
        """Run in a thread of its own."""
        threading.Thread(target=self._run, name=f"rollout {self._endpoint.name}", daemon=True).start()

    def _run(self) -> None:
        try:
            self._run_to_an_end()
        except FleetCancelledError:
            return
        except Exception as error:  # neither end was reached, and an endpoint must come to rest
            _LOG.exception("the rollout of %s", self._endpoint.name)
            with self._hosting.lock:
                self._endpoint.failure_reason = _defect(error)
            self._hosting.set_status(self._endpoint, records.ROLLBACK_FAILED)

    def _run_to_an_end(self) -> None:
        try:
            self._provision()
            for step in self._plan.steps:
                self._shift(step)
                self._bake(step)
        except FleetCancelledError:
            raise
        except (FleetError, RollbackError) as error:
            self._roll_back(str(error))
        except Exception as error:
            _LOG.exception("the rollout of %s", self._endpoint.name)
            self._roll_back(_defect(error))
        else:
            self._promote()

    def _provision(self) -> None:
        rolling = self._plan.kind == "rolling"
        for variant in self._green.values():
            first = self._plan.steps[0].green[variant.name] if rolling else variant.desired_instances
            self._say(variant.name, "Creating", f"Launching {first} instance(s).")
            fleet = self._hosting.new_fleet(self._endpoint, variant, self._config, published_config=True)
            variant.fleets = [fleet]
            self._hosting.house.start(fleet, variant.settings, self._check)
            with self._hosting.lock:
                variant.instances = fleet.instances = first

    def _shift(self, step: Step) -> None:
        names = list(self._green)
        for name in names:
            self._say(name, "ActivatingTraffic", f"Activating traffic on {self._capacity(step, name)}.")
        rolling = self._plan.kind == "rolling"
        with self._hosting.lock:
            for name, variant in self._green.items():
                share = step.green[name] / self._plan.totals[name]
                if rolling:
                    variant.instances = step.green[name]
                self._set_shares(name, share)
        self._hosting.router.publish()
        if rolling:
            self._shrink_blue(step)

    def _set_shares(self, name: str, green_share: float) -> None:
        for fleet in self._green[name].fleets:
            fleet.share = green_share
            fleet.instances = self._green[name].instances
        blue = self._endpoint.variants.get(name)
        for fleet in blue.fleets if blue is not None else []:
            fleet.share = max(0.0, 1.0 - green_share)
        if green_share >= 1.0:
            for other, variant in self._endpoint.variants.items():
                if other not in self._green:  # a variant that the new config drops
                    for fleet in variant.fleets:
                        fleet.share = 0.0

    def _shrink_blue(self, step: Step) -> None:
        """Rolling: as many blue instances end as green ones took their place."""
        for name, green in step.green.items():
            blue = self._endpoint.variants.get(name)
            if blue is None:
                continue
            with self._hosting.lock:
                left = max(0, round(self._blue_counts[name] * (1 - green / self._plan.totals[name])))
                gone, blue.instances = blue.instances - left, left
            self._say(name, "Deleting", f"Terminating {gone} instance(s).")

    def _bake(self, step: Step) -> None:
        if not step.bake_seconds:
            return
        for name in self._green:
            self._say(
                name,
                "Baking",
                f"Baking for {step.bake_seconds} seconds ({step.wait_name}) with traffic enabled on "
                f"{self._capacity(step, name)}.",
            )
        until = time.monotonic() + step.bake_seconds
        while True:
            self._look_at_alarms()
            left = until - time.monotonic()
            if left <= 0:
                return
            self._endpoint.cancelled.wait(min(ALARM_LOOK_SECONDS, left))
            self._check()

    def _look_at_alarms(self) -> None:
        for name in self._plan.alarms:
            state = alarms.state(name)
            if state in ("ALARM", None):  # an alarm that was deleted protects nothing: not a sign of health
                raise RollbackError("")

    def _check(self) -> None:
        if self._endpoint.cancelled.is_set():
            raise FleetCancelledError
        if time.monotonic() > self._deadline:
            raise RollbackError(
                f"The deployment did not end within MaximumExecutionTimeoutInSeconds ({self._plan.timeout_seconds})."
            )

    def _promote(self) -> None:
        endpoint = self._endpoint
        old = [fleet for variant in endpoint.variants.values() for fleet in variant.fleets]
        for name, variant in endpoint.variants.items():
            if name in self._green and self._plan.kind == "blue_green":
                self._say(name, "Deleting", f"Terminating {variant.instances} instance(s).")
        self._hosting.router.drain(old)
        for fleet in old:
            self._hosting.house.end(fleet)
        with self._hosting.lock:
            endpoint.variants, endpoint.pending = self._green, None
            endpoint.config, endpoint.config_request = self._config.name, self._config.request
            endpoint.failure_reason = ""
        self._hosting.set_status(endpoint, records.IN_SERVICE)
        self._hosting.router.publish()

    def _roll_back(self, reason: str) -> None:
        endpoint = self._endpoint
        with self._hosting.lock:
            endpoint.failure_reason = reason[:1024]
        self._hosting.set_status(endpoint, records.ROLLING_BACK)
        failed = self._restore_blue()
        green = [fleet for variant in self._green.values() for fleet in variant.fleets]
        if failed:
            with self._hosting.lock:
                endpoint.failure_reason = failed
            self._hosting.set_status(endpoint, records.ROLLBACK_FAILED)
            return
        for name, variant in self._green.items():
            self._say(name, "Deleting", f"Terminating {variant.instances} instance(s).")
        self._hosting.router.drain(green)
        for fleet in green:
            self._hosting.house.end(fleet)
        with self._hosting.lock:
            endpoint.pending = None
        self._hosting.set_status(endpoint, records.IN_SERVICE)
        self._hosting.router.publish()

    def _restore_blue(self) -> str:
        """Give all traffic back to blue; returns why it could not be, or nothing."""
        missing = any(self._endpoint.variants[name].instances < count for name, count in self._blue_counts.items())
        if missing and self._hosting.faults.find(self._endpoint.name, "no_capacity") is not None:
            return (
                "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error during "
                "the rollback; old and new instances serve together."
            )
        with self._hosting.lock:
            for name in self._green:
                for fleet in self._green[name].fleets:
                    fleet.share = 0.0
            for name, variant in self._endpoint.variants.items():
                variant.instances = self._blue_counts[name]
                for fleet in variant.fleets:
                    fleet.share = 1.0
        self._hosting.router.publish()
        return ""

    def _capacity(self, step: Step, name: str) -> str:
        return f"{step.capacity} capacity of {step.green[name]} instance(s)"

    def _say(self, variant: str, status: str, message: str) -> None:
        with self._hosting.lock:
            self._pending.statuses[variant] = {"Status": status, "StatusMessage": message, "StartTime": time.time()}
            self._endpoint.modified = time.time()
        self._hosting.deployment_changed(self._endpoint)


def _defect(error: Exception) -> str:
    return f"defect of the local cloud: {error!r}"[:1024]


class Creation:
    """One CreateEndpoint: guardrails do not apply."""

    def __init__(
        self, hosting: Hosting, endpoint: Endpoint, config: EndpointConfig, variants: dict[str, Variant]
    ) -> None:
        """variants: of the config, without fleets yet."""
        self._hosting, self._endpoint, self._config, self._variants = hosting, endpoint, config, variants

    def start(self) -> None:
        """Run in a thread of its own."""
        threading.Thread(target=self._run, name=f"create {self._endpoint.name}", daemon=True).start()

    def _run(self) -> None:
        endpoint, fleets = self._endpoint, list[Fleet]()
        try:
            for variant in self._variants.values():
                fleet = self._hosting.new_fleet(endpoint, variant, self._config, published_config=False)
                fleets.append(fleet)
                self._hosting.house.start(fleet, variant.settings, self._check)
                variant.fleets, variant.instances, fleet.share = [fleet], fleet.instances, 1.0
            self._serve()
        except FleetCancelledError:
            self._end(fleets)
        except FleetError as error:
            self._fail(fleets, str(error))
        except Exception as error:
            _LOG.exception("the creation of %s", endpoint.name)
            self._fail(fleets, _defect(error))

    def _serve(self) -> None:
        endpoint = self._endpoint
        with self._hosting.lock:
            endpoint.variants, endpoint.creating = self._variants, {}
            endpoint.config_request = self._config.request
            # routed to before it is said to be in service, so that the first call after the word finds it
            endpoint.status = records.IN_SERVICE
        self._hosting.router.publish()
        self._hosting.set_status(endpoint, records.IN_SERVICE)

    def _check(self) -> None:
        if self._endpoint.cancelled.is_set():
            raise FleetCancelledError

    def _fail(self, fleets: list[Fleet], reason: str) -> None:
        self._end(fleets)
        with self._hosting.lock:
            self._endpoint.failure_reason, self._endpoint.creating = reason[:1024], {}
        self._hosting.set_status(self._endpoint, records.FAILED)

    def _end(self, fleets: list[Fleet]) -> None:
        for fleet in fleets:
            self._hosting.house.end(fleet)
