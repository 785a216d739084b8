"""Endpoints: create, update, delete, rescale; the state that all of hosting shares."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping

from localcloud.cloudwatch import alarms
from localcloud.core import Core
from localcloud.model_server.launcher import Launcher
from localcloud.sagemaker import capture, guardrails, metrics, notices, quota, records, scaling
from localcloud.sagemaker.errors import ValidationError, existing, in_progress, missing
from localcloud.sagemaker.faults import Faults
from localcloud.sagemaker.fleets import FleetHouse
from localcloud.sagemaker.records import Endpoint, EndpointConfig, Fleet, Json, Variant
from localcloud.sagemaker.registry import Registry
from localcloud.sagemaker.rollout import Creation, Rollout
from localcloud.sagemaker.routing import Router
from localcloud.sagemaker.shapes import check_request

RESCALE_SECONDS = 0.2  # weights and counts are virtual; the status is there to be seen
_LOG = logging.getLogger(__name__)


class Hosting:
    """Real-time hosting of one account and region; everything mutable is changed under `lock`."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.lock = threading.RLock()
        self.faults = Faults()
        self.registry = Registry(core, self.lock)
        self.endpoints: dict[str, Endpoint] = {}
        self.router = Router(core.public_url, lambda: list(self.endpoints.values()), self.lock)
        self._launcher = Launcher(core.directory / "model-servers")
        self.house = FleetHouse(core, self._launcher, self.faults, self.router.publish)

    def start(self) -> None:
        """Begin to import TensorFlow in the background."""
        self._launcher.start()

    def stop(self) -> None:
        """End every rollout and every model server."""
        with self.lock:
            for endpoint in self.endpoints.values():
                endpoint.cancelled.set()
        self._launcher.stop()

    def observe(self, body: Json) -> Json:
        """Admin route of the front: metrics in, and the routing table out when the front's is not the newest."""
        count = metrics.put_observations(body["observations"])
        return {"taken": count, "routes": self.router.front_uses(int(body["routes_version"]))}

    def write_capture(self, body: Json) -> Json:
        """Admin route of the front: one file of captured requests for S3."""
        return {"written": capture.write(self.core.client("s3"), body)}

    def fleets(self, _body: Json) -> Json:
        """Admin route `fleets`: every fleet with its process, for those who want to see or end one."""
        with self.lock:
            endpoints = list(self.endpoints.values())
            variants = [
                v
                for e in endpoints
                for v in (*e.variants.values(), *(e.pending.variants.values() if e.pending else ()))
            ]
            fleets = {fleet.name: fleet for variant in variants for fleet in variant.fleets}
        return {
            "fleets": [
                {
                    "fleet": fleet.name,
                    "endpoint": fleet.endpoint,
                    "variant": fleet.variant,
                    "config": fleet.config,
                    "instances": fleet.instances,
                    "share": fleet.share,
                    "pid": fleet.process.pid if fleet.process is not None else None,
                    "port": fleet.process.port if fleet.process is not None else None,
                }
                for fleet in fleets.values()
            ]
        }

    def find(self, name: str) -> Endpoint:
        """Return an endpoint, whatever the case of the name; raises ValidationError when there is none."""
        with self.lock:
            endpoint = self.endpoints.get(name.lower())
        if endpoint is None:
            raise missing("endpoint", self.registry.arn("endpoint", name))
        return endpoint

    def create(self, request: Json) -> str:
        """Begin to create an endpoint and return its ARN."""
        check_request("CreateEndpoint", request)
        name = request["EndpointName"]
        arn = self.registry.arn("endpoint", name)
        with self.lock:
            if name.lower() in self.endpoints:
                raise existing("endpoint", arn)
            config = self.registry.config(request["EndpointConfigName"])
            variants = self._variants(config, {})
            # guardrails do not apply to a first release, but what can't be one is refused
            guardrails.plan(request.get("DeploymentConfig"), _totals(variants))
            quota.check(self.faults, self.endpoints.values(), name, _wanted(variants, _totals(variants)))
            endpoint = Endpoint(name, arn, config.name, time.time())
            self.endpoints[endpoint.key] = endpoint
            self.registry.drop_tags(arn)
            self.registry.put_tags(arn, request.get("Tags") or [])
            endpoint.creating = variants
            endpoint.deployment_config = request.get("DeploymentConfig")
            creation = Creation(self, endpoint, config, variants)
        self.set_status(endpoint, records.CREATING)
        creation.start()
        return arn

    def update(self, request: Json) -> str:
        """Begin a rollout and return the endpoint's ARN."""
        check_request("UpdateEndpoint", request)
        with self.lock:
            endpoint = self.find(request["EndpointName"])
            config = self.registry.config(request["EndpointConfigName"])
            _require_changeable(endpoint)
            deployment = request.get("DeploymentConfig")
            if request.get("RetainDeploymentConfig"):
                deployment = deployment or endpoint.deployment_config
            variants = self._variants(config, self._retained(endpoint, request))
            plan = guardrails.plan(deployment, _totals(variants))
            self._check_plan(endpoint, variants, plan)
            more = plan.steps[0].green if plan.kind == "rolling" else plan.totals
            quota.check(self.faults, self.endpoints.values(), endpoint.name, _wanted(variants, more))
            endpoint.deployment_config = dict(deployment) if deployment else None
            endpoint.failure_reason = ""
            _adopt_stranded(endpoint)
            rollout = Rollout(self, endpoint, config, variants, plan)
            self.set_status(endpoint, records.UPDATING)
        rollout.start()
        return endpoint.arn

    def delete(self, name: str) -> None:
        """Begin to delete an endpoint; one that is being changed is refused."""
        with self.lock:
            endpoint = self.find(name)
            if endpoint.status in records.IN_PROGRESS:
                raise in_progress(endpoint.arn)
            self.set_status(endpoint, records.DELETING)
        threading.Thread(target=self._delete, args=(endpoint,), name=f"delete {name}", daemon=True).start()

    def rescale(self, request: Json) -> str:
        """UpdateEndpointWeightsAndCapacities: weights of any variants, or the capacity of one."""
        check_request("UpdateEndpointWeightsAndCapacities", request)
        wishes = request["DesiredWeightsAndCapacities"]
        with self.lock:
            endpoint = self.find(request["EndpointName"])
            _require_changeable(endpoint)
            if len([wish for wish in wishes if wish.get("DesiredInstanceCount") is not None]) > 1:
                raise ValidationError("The capacity of only one variant can be updated at a time.")
            for wish in wishes:
                if wish["VariantName"] not in endpoint.variants:
                    raise ValidationError(
                        f'Could not find variant "{wish["VariantName"]}" of endpoint "{endpoint.arn}".'
                    )
                if wish.get("ServerlessUpdateConfig"):
                    raise ValidationError("ServerlessUpdateConfig is not covered by the local cloud.")
            for wish in wishes:
                variant = endpoint.variants[wish["VariantName"]]
                more = int(wish.get("DesiredInstanceCount") or 0) - variant.desired_instances
                quota.check(self.faults, self.endpoints.values(), endpoint.name, _wanted({"": variant}, {"": more}))
                variant.desired_weight = float(wish.get("DesiredWeight", variant.desired_weight))
                variant.desired_instances = int(wish.get("DesiredInstanceCount", variant.desired_instances))
            self.set_status(endpoint, records.UPDATING)
        threading.Thread(target=self._rescale, args=(endpoint,), name=f"rescale {endpoint.name}", daemon=True).start()
        return endpoint.arn

    def set_status(self, endpoint: Endpoint, status: str) -> None:
        """Change a status and tell EventBridge."""
        with self.lock:
            endpoint.status, endpoint.modified = status, time.time()
            notices.state_changed(endpoint, self.registry.tags(endpoint.arn))

    def deployment_changed(self, endpoint: Endpoint) -> None:
        """Tell EventBridge about a step of a rollout."""
        with self.lock:
            notices.deployment_changed(endpoint, self.registry.tags(endpoint.arn))

    def new_fleet(
        self, endpoint: Endpoint, variant: Variant, config: EndpointConfig, *, published_config: bool
    ) -> Fleet:
        """Return a fleet for a variant, not started yet."""
        container = self.registry.model(variant.settings["ModelName"]).containers[0]
        name = self.house.new_name()
        return Fleet(
            name,
            endpoint.name,
            variant.name,
            config.name,
            container,
            variant.desired_instances,
            published_config,
            capture.rule(config.request),
        )

    def _variants(self, config: EndpointConfig, retained: dict[str, Json]) -> dict[str, Variant]:
        """Return the variants of a config at nought instances, with retained counts and weights over the config's."""
        variants = {}
        for settings in config.variants:
            kept = retained.get(settings["VariantName"], {})
            model = self.registry.model(settings["ModelName"])
            if len(model.containers) != 1:
                raise ValidationError(
                    f"Model {model.name} has several containers, which the local cloud does not cover."
                )
            count = int(kept.get("instances") or settings.get("InitialInstanceCount") or 1)
            weight = float({"weight": settings.get("InitialVariantWeight", 1.0), **kept}["weight"])
            name = settings["VariantName"]
            image = str(model.containers[0].get("Image", ""))
            variants[name] = Variant(name, settings, weight, 0, weight, count, image)
        return variants

    def _retained(self, endpoint: Endpoint, request: Json) -> dict[str, Json]:
        if not request.get("RetainAllVariantProperties"):
            return {}
        dropped = {item["VariantPropertyType"] for item in request.get("ExcludeRetainedVariantProperties") or []}
        kept: dict[str, Json] = {}
        for name, variant in endpoint.variants.items():
            values: Json = {"instances": variant.desired_instances, "weight": variant.desired_weight}
            if "DesiredInstanceCount" in dropped:
                del values["instances"]
            if "DesiredWeight" in dropped:
                del values["weight"]
            kept[name] = values
        return kept

    def _check_plan(self, endpoint: Endpoint, variants: dict[str, Variant], plan: guardrails.Plan) -> None:
        if (plan.kind == "rolling" or len(plan.steps) > 1) and set(variants) != set(endpoint.variants):
            raise ValidationError(
                "The production variants of the new endpoint configuration must have the names of the current ones "
                f"for this deployment policy: {sorted(variants)} against {sorted(endpoint.variants)}."
            )
        if plan.kind == "rolling" and any(variant.settings.get("ServerlessConfig") for variant in variants.values()):
            raise ValidationError("Rolling deployments are not supported for serverless endpoints.")
        scaling.require_compatible(endpoint, variants)
        absent = [name for name in plan.alarms if alarms.state(name) is None]
        if absent:
            raise ValidationError(f"Could not find CloudWatch alarm(s) {absent} of AutoRollbackConfiguration.")

    def _rescale(self, endpoint: Endpoint) -> None:
        time.sleep(RESCALE_SECONDS)
        with self.lock:
            for variant in endpoint.variants.values():
                variant.weight, variant.instances = variant.desired_weight, variant.desired_instances
                for fleet in variant.fleets:
                    fleet.instances = variant.instances
        try:
            self.router.publish()  # never under the lock: a front that has to fetch the table needs it
        except Exception:  # the front asks once a second anyway
            _LOG.exception("the routes of %s", endpoint.name)
        self.set_status(endpoint, records.IN_SERVICE)

    def _delete(self, endpoint: Endpoint) -> None:
        try:
            self._end_fleets(endpoint)
        except Exception as error:  # an endpoint that is Deleting for ever can't be deleted again
            _LOG.exception("the end of %s", endpoint.name)
            with self.lock:
                endpoint.failure_reason = f"defect of the local cloud: {error!r}"[:1024]
            self.set_status(endpoint, records.FAILED)
            return
        with self.lock:
            self.endpoints.pop(endpoint.key, None)
            self.registry.drop_tags(endpoint.arn)
        scaling.forget(endpoint)

    def _end_fleets(self, endpoint: Endpoint) -> None:
        with self.lock:
            fleets = [f for v in endpoint.variants.values() for f in v.fleets]
            if endpoint.pending is not None:
                fleets += [f for v in endpoint.pending.variants.values() for f in v.fleets]
        self.router.publish()
        self.router.drain(fleets)
        for fleet in fleets:
            self.house.end(fleet)


def _totals(variants: dict[str, Variant]) -> dict[str, int]:
    return {name: variant.desired_instances for name, variant in variants.items()}


def _wanted(variants: dict[str, Variant], more: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return (instance type, further instances) of each variant that has instances."""
    return [(v.settings["InstanceType"], more[name]) for name, v in variants.items() if v.settings.get("InstanceType")]


def _adopt_stranded(endpoint: Endpoint) -> None:
    """Count what a failed rollback left serving as old fleets, so that the next rollout ends them."""
    if endpoint.pending is not None:
        for name, stranded in endpoint.pending.variants.items():
            endpoint.variants[name].fleets += stranded.fleets


def _require_changeable(endpoint: Endpoint) -> None:
    if endpoint.status in records.IN_PROGRESS:
        raise in_progress(endpoint.arn)
    if endpoint.status == records.FAILED:
        raise ValidationError(f'Cannot update endpoint "{endpoint.arn}" in status Failed: it can only be deleted.')
