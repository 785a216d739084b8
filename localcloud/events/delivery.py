"""From an event to the targets of the rules it matches: asynchronous, retried, and dead-lettered in the end."""

from __future__ import annotations

import heapq
import json
import random
import sys
import threading
import time
import traceback
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from localcloud.cloudwatch import store
from localcloud.core import ACCOUNT_ID
from localcloud.events.targets import Targets
from localcloud.events.transform import target_input

WORKERS = 8
DEFAULT_RETRIES = 185  # RetryPolicy.MaximumRetryAttempts
DEFAULT_AGE_SECONDS = 86400  # RetryPolicy.MaximumEventAgeInSeconds
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0

# No retry helps where the target is gone or the call is refused: EventBridge sends these straight to the queue.
GONE = ("ResourceNotFound", "StateMachineDoesNotExist", "NotFound", "NonExistentQueue", "QueueDoesNotExist")
REFUSED = ("AccessDenied", "NotAuthorized", "UnrecognizedClient")


@dataclass(frozen=True)
class Parcel:
    """One event on its way to one target of one rule."""

    event: dict[str, Any]
    payload: str
    rule: Any
    target: dict[str, Any]
    accepted: float
    attempts: int = 0


class Delivery:
    """A queue by due time and the threads that empty it."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._queue: list[tuple[float, int, Parcel]] = []
        self._count = 0
        self._wake = threading.Condition()
        self._stopped = False

    def start(self) -> None:
        """Start the threads that deliver."""
        for number in range(WORKERS):
            threading.Thread(target=self._work, name=f"events-{number}", daemon=True).start()

    def stop(self) -> None:
        """Stop delivering; what is still queued is dropped with the cloud."""
        with self._wake:
            self._stopped = True
            self._wake.notify_all()

    def to_bus(self, event: dict[str, Any], bus: str, delay_seconds: float = 0.0) -> None:
        """Offer an event to every rule of a bus."""
        from moto.events.models import events_backends

        backend = events_backends[ACCOUNT_ID][event["region"]]
        for rule in list(backend.event_buses[bus].rules.values()):
            self.to_rule(event, rule, delay_seconds)

    def to_rule(self, event: dict[str, Any], rule: Any, delay_seconds: float = 0.0) -> None:
        """Queue an event for a rule's targets, if the rule is enabled and its pattern matches."""
        # a rule with a schedule only has no pattern: moto would match it with everything
        if rule.state == "DISABLED" or not rule.event_pattern.get_pattern():
            return
        shown = as_delivered(event)
        try:
            matches = rule.event_pattern.matches_event(shown)
        except Exception:  # a pattern that moto trips over costs its own rule the event, not those behind it
            sys.stderr.write(f"rule {rule.name} can not be matched:\n{traceback.format_exc()}")
            return
        if matches:
            self.to_targets(shown, rule, delay_seconds)

    def to_targets(self, event: dict[str, Any], rule: Any, delay_seconds: float = 0.0) -> None:
        """Queue an event for a rule's targets, whatever its pattern (a schedule's own way in)."""
        now = time.time()
        for target in list(rule.targets):
            try:
                payload = target_input(event, target, rule.name, rule.arn)
            except Exception as error:  # one target's transformer must not cost the others the event
                sys.stderr.write(f"rule {rule.name}, target {target.get('Id')}: input not made: {error!r}\n")
                continue
            self._push(Parcel(event, payload, rule, target, now), now + delay_seconds)

    def _push(self, parcel: Parcel, due: float) -> None:
        with self._wake:
            self._count += 1
            heapq.heappush(self._queue, (due, self._count, parcel))
            self._wake.notify()

    def _work(self) -> None:
        while True:
            parcel = self._next()
            if parcel is None:
                return
            try:
                self._deliver(parcel)
            except Exception:  # a thread that ends here would be missed by all events to come
                sys.stderr.write(f"rule {parcel.rule.name}: an event is lost:\n{traceback.format_exc()}")

    def _deliver(self, parcel: Parcel) -> None:
        try:
            self._targets.deliver(parcel.event, parcel.payload, parcel.rule, parcel.target)
        except Exception as error:  # a target may fail in any way; every way ends in a retry or the queue
            self._failed(parcel, error)
        else:
            _count("Invocations", parcel)

    def _next(self) -> Parcel | None:
        with self._wake:
            while not self._stopped:
                wait = self._queue[0][0] - time.time() if self._queue else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._queue)[2]
                self._wake.wait(wait)
        return None

    def _failed(self, parcel: Parcel, error: Exception) -> None:
        policy = parcel.target.get("RetryPolicy") or {}
        # a template may give numbers as text
        retries = int(policy.get("MaximumRetryAttempts", DEFAULT_RETRIES))
        age = int(policy.get("MaximumEventAgeInSeconds", DEFAULT_AGE_SECONDS))
        pause = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2**parcel.attempts) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        exhausted = None
        if parcel.attempts >= retries:
            exhausted = "MaximumRetryAttempts"
        elif time.time() + pause - parcel.accepted > age:
            exhausted = "MaximumEventAgeInSeconds"
        if exhausted is None and is_retriable(error):
            self._push(replace(parcel, attempts=parcel.attempts + 1), time.time() + pause)
            return
        self._dead_letter(parcel, error, exhausted if is_retriable(error) else None)

    def _dead_letter(self, parcel: Parcel, error: Exception, exhausted: str | None) -> None:
        code, message = error_code(error), str(error)[:1000]
        queue = (parcel.target.get("DeadLetterConfig") or {}).get("Arn")
        where = f"rule {parcel.rule.name}, target {parcel.target['Arn']}"
        sys.stderr.write(
            f"{where}: not delivered after {parcel.attempts} retries ({code}: {message}); "
            + (f"sent to {queue}\n" if queue else "dropped, as the target has no dead-letter queue\n")
        )
        _count("FailedInvocations", parcel)
        if not queue:
            return
        attributes = {
            "RULE_ARN": parcel.rule.arn,
            "TARGET_ARN": parcel.target["Arn"],
            "ERROR_CODE": code,
            "ERROR_MESSAGE": message,
            "RETRY_ATTEMPTS": str(parcel.attempts),
        }
        if exhausted:
            attributes["EXHAUSTED_RETRY_CONDITION"] = exhausted
        try:
            self._targets.send_to_queue(queue, json.dumps(parcel.event), attributes)
            _count("InvocationsSentToDlq", parcel)
        except Exception as lost:  # it was the last resort, so whatever went wrong is told here
            _count("InvocationsFailedToBeSentToDlq", parcel)
            sys.stderr.write(f"{where}: the dead-letter queue {queue} took nothing either: {lost}\n")


def _count(metric: str, parcel: Parcel) -> None:
    """Publish one of EventBridge's own metrics (AWS/Events, by rule, a minute fine)."""
    own = {"RuleName": parcel.rule.name}
    store.put("AWS/Events", metric, own, time.time(), [1.0], unit="Count", storage_resolution=60)


def as_delivered(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event as targets see it: time in ISO 8601, nothing of moto's own."""
    shown = {name: value for name, value in event.items() if name != "ingestion-time"}
    moment = shown.get("time")
    if isinstance(moment, int | float) or (isinstance(moment, str) and moment.replace(".", "", 1).isdigit()):
        shown["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(float(moment)))
    elif not moment:
        shown["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return shown


def is_retriable(error: Exception) -> bool:
    """Return whether trying again can help."""
    return error_code(error) not in ("NO_RESOURCE", "NO_PERMISSIONS") and not isinstance(error, NotImplementedError)


def error_code(error: Exception) -> str:
    """Return EventBridge's word for a failure (the ERROR_CODE of its dead letters)."""
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
    if any(word in code for word in GONE):
        return "NO_RESOURCE"
    if any(word in code for word in REFUSED):
        return "NO_PERMISSIONS"
    return "ERROR_FROM_TARGET"
