"""SageMaker hosting of the local cloud on a virtual clock: its own rollouts, alarms and refusals, with no process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from localcloud import autoscaling
from localcloud.cloudwatch import alarm_calls, alarms, publish, store
from localcloud.sagemaker import calls, hosting, metrics, notices, records, registry, rollout
from localcloud.sagemaker.faults import Faults
from localcloud.sagemaker.fleets import FleetError
from localcloud.sagemaker.records import Endpoint, Fleet, Json
from tests.faults.storage import AwsError, Buckets
from tests.faults.timeline import Timeline, VirtualEvent, VirtualThreading, VirtualTime

PROVISION_SECONDS, END_SECONDS = 40.0, 20.0
# modules of the local cloud that look at the clock or start threads
TIMED = (autoscaling, alarm_calls, publish, store, hosting, notices, registry, rollout)


class House:
    """Fleets without processes. trouble: (endpoint, config) -> why the fleet can't be brought up, or nothing."""

    def __init__(self, timeline: Timeline, trouble: Callable[[Fleet], str]) -> None:
        self._timeline, self._trouble, self._count = timeline, trouble, 0

    def new_name(self) -> str:
        self._count += 1
        return f"fleet-{self._count}"

    def start(self, fleet: Fleet, _settings: Json, check: Callable[[], None]) -> None:
        self._timeline.sleep(PROVISION_SECONDS)
        check()
        if reason := self._trouble(fleet):
            raise FleetError(reason)

    def end(self, fleet: Fleet) -> None:
        fleet.wanted = False


class Router:
    """Routes that nobody reads; a fleet takes its time to end."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def publish(self) -> None:
        return

    def drain(self, _fleets: list[Fleet]) -> None:
        self._timeline.sleep(END_SECONDS)


class Core:
    """What hosting asks of the local cloud: names, and whether model data is there."""

    region, account_id = "us-east-1", "123456789012"

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    def client(self, _service: str) -> Any:
        return self

    def head_object(self, Bucket: str, Key: str) -> Json:  # noqa: N803 boto3's names
        from botocore.exceptions import ClientError

        try:
            return self._buckets.call("HeadObject", {"Bucket": Bucket, "Key": Key})
        except AwsError as error:
            raise ClientError({"Error": {"Code": error.code, "Message": error.message}}, "HeadObject") from None


class VirtualHosting(hosting.Hosting):
    """The local cloud's endpoints; rollouts and creations are actors of a timeline."""

    def __init__(self, timeline: Timeline, buckets: Buckets, trouble: Callable[[Fleet], str]) -> None:
        self.core: Any = Core(buckets)
        self.lock = threading.RLock()
        self.faults = Faults()
        self.registry = registry.Registry(self.core, self.lock)
        self.endpoints: dict[str, Endpoint] = {}
        self.router: Any = Router(timeline)
        self.house: Any = House(timeline, trouble)
        self._timeline = timeline

    def create(self, request: Json) -> str:
        """Begin to create an endpoint; its waits pass on the timeline."""
        arn = super().create(request)
        self.endpoints[request["EndpointName"].lower()].cancelled = VirtualEvent(self._timeline)  # type: ignore[assignment]  # what is used of it is there
        return arn

    def call(self, operation: str, params: Json) -> Json:
        """Answer one call of SageMaker."""
        method = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation).lstrip("_")
        if method in calls.CALLS:
            return calls.CALLS[method](self, params)
        kind, _, name = params["ResourceArn"].split(":")[-1].partition("/")
        calls._require_resource(self, kind, name)
        return calls.TAG_CALLS[method](self, params)

    def observe(self, seconds: int, requests: int, answer: Callable[[str], tuple[float, int]]) -> None:  # type: ignore[override]  # the front's route is not used here
        """Let users send so many requests to every endpoint that takes traffic, in the seconds just past.

        answer: endpoint config -> (model latency in microseconds, status).
        """
        now = int(self._timeline.now)
        for endpoint in self.endpoints.values():
            variants = [*endpoint.variants.values(), *(endpoint.pending.variants.values() if endpoint.pending else ())]
            for fleet in {fleet.name: fleet for variant in variants for fleet in variant.fleets}.values():
                count = round(requests * fleet.share)
                if not count or endpoint.status not in records.TAKES_TRAFFIC:
                    continue
                latency, status = answer(fleet.config)
                bad = count // 2 if status >= 400 else 0
                row = [[now - seconds // 2, latency, 500.0, status if n < bad else 200] for n in range(count)]
                metrics.put_observations(
                    [
                        {
                            "endpoint": endpoint.name,
                            "variant": fleet.variant,
                            "config": fleet.config,
                            "published_config": fleet.published_config,
                            "instances": max(1, fleet.instances),
                            "rows": row,
                        }
                    ]
                )


def scaling_of(own: VirtualHosting) -> autoscaling.Scaling:
    """Return Application Auto Scaling of this hosting."""

    def variant_of(endpoint: str, variant: str) -> Json | None:
        found = own.endpoints.get(endpoint.lower())
        return {} if found and variant in found.variants else None

    return autoscaling.Scaling("us-east-1", variant_of, lambda *_: None)


@contextmanager
def played_on(timeline: Timeline) -> Iterator[None]:
    """Put the local cloud's modules on the timeline, and their stores back to nothing."""
    clock, threads = VirtualTime(timeline), VirtualThreading(timeline)
    store.STORE._series.clear()
    store.STORE._compacted = timeline.now
    for kept in (alarms.ALARMS._alarms, alarms.ALARMS._slots, alarms.ALARMS._history):
        kept.clear()
    autoscaling.REGISTRY.targets.clear()
    autoscaling.REGISTRY.policies.clear()
    with ExitStack() as stack:
        for module in TIMED:
            if hasattr(module, "time"):
                stack.enter_context(mock.patch.object(module, "time", clock))
        for module in (hosting, rollout):
            stack.enter_context(mock.patch.object(module, "threading", threads))
        stack.enter_context(mock.patch.object(notices, "_emit", lambda *_: None))
        stack.enter_context(mock.patch.object(alarms.ALARMS, "on_change", None))
        yield
