"""What two good fields of a policy can do wrong together, as far as it can be said without the endpoint's state."""

from __future__ import annotations

from collections.abc import Iterator

from modeldrop.errors import Problem
from modeldrop.policy.environment import APPLICATION_PREFIX, MAX_ENVIRONMENT_BYTES, MAX_ENVIRONMENT_BYTES_EACH
from modeldrop.policy.model import EndpointPolicy, Policy


def conflicts(policy: Policy) -> list[Problem]:
    """Every conflict, empty when there is none."""
    endpoint = policy.endpoint
    return [
        *_autoscaling(endpoint),
        *_environment(endpoint),
        *_application(policy),
        *_instance_type(endpoint),
        *_strategy(policy),
        *_signature(policy),
    ]


def _signature(policy: Policy) -> Iterator[Problem]:
    if policy.signature.required and not policy.signature.key:
        what = "signature.required is true, and no signature.key says whose signature"
        fix = "Name the public key: key: ssm:/modeldrop/signing-key."
        yield Problem("POLICY_CONFLICT", what, "signature.key", fix)


def _autoscaling(endpoint: EndpointPolicy) -> Iterator[Problem]:
    scaling = endpoint.autoscaling
    if scaling is None:
        return
    if scaling.min > scaling.max:
        yield Problem(
            "POLICY_CONFLICT",
            f"endpoint.autoscaling.min is {scaling.min}, above max, which is {scaling.max}",
            "endpoint.autoscaling",
            "min may be at most max.",
        )
    elif not scaling.min <= endpoint.instance_count <= scaling.max:
        yield Problem(
            "POLICY_CONFLICT",
            f"endpoint.instance_count is {endpoint.instance_count}, outside the autoscaling range "
            f"{scaling.min} to {scaling.max}",
            "endpoint.instance_count",
            f"Choose {scaling.min} to {scaling.max}, or widen the range.",
        )


def _environment(endpoint: EndpointPolicy) -> Iterator[Problem]:
    """CreateModel counts bytes, JSON Schema characters."""
    total = 0
    for name, value in endpoint.environment.items():
        length = len(value.encode("utf-8", "surrogatepass"))
        total += len(name) + length
        if length > MAX_ENVIRONMENT_BYTES_EACH:
            yield Problem(
                "POLICY_CONFLICT",
                f"endpoint.environment.{name:.60} has {length} bytes; allowed: at most {MAX_ENVIRONMENT_BYTES_EACH}",
                f"endpoint.environment.{name:.60}",
                "Shorten it.",
            )
    if total > MAX_ENVIRONMENT_BYTES:
        yield Problem(
            "POLICY_CONFLICT",
            f"endpoint.environment has {total} bytes of names and values; allowed: at most {MAX_ENVIRONMENT_BYTES}",
            "endpoint.environment",
            "Put large settings in the model's assets.",
        )


def _application(policy: Policy) -> Iterator[Problem]:
    """The application's own variables are for its code: without code nobody reads them."""
    names = [name for name in policy.endpoint.environment if name.startswith(APPLICATION_PREFIX)]
    if names and policy.artifact.code != "allow":
        what = (
            f"endpoint.environment has {len(names)} names that begin with {APPLICATION_PREFIX}, and artifact.code is "
        )
        fix = "Remove them, or set artifact: {code: allow} for a model that brings a handler in code/."
        yield Problem(
            "POLICY_ENVIRONMENT", f"{what}{policy.artifact.code}", f"endpoint.environment.{names[0]:.60}", fix
        )


def _instance_type(endpoint: EndpointPolicy) -> Iterator[Problem]:
    if endpoint.instance_type.startswith("ml.inf1."):
        yield Problem(
            "POLICY_CONFLICT",
            f"endpoint.instance_type is {endpoint.instance_type}: SageMaker updates Inf1 all at once, without a bake, "
            "whatever strategy is asked for",
            "endpoint.instance_type",
            "Choose another family.",
        )


def _strategy(policy: Policy) -> list[Problem]:
    endpoint = policy.endpoint
    most = endpoint.autoscaling.max if endpoint.autoscaling is not None else endpoint.instance_count
    return policy.strategy.policy_problems(endpoint.instance_count, most)
