"""Application Auto Scaling targets and policies."""

from __future__ import annotations

from localcloud.cloudformation.provider import Made, Provider, Request, ignore_missing, provider

IDENTITY = ("ResourceId", "ScalableDimension", "ServiceNamespace")


@provider
class ScalableTarget(Provider):
    """AWS::ApplicationAutoScaling::ScalableTarget."""

    type_name = "AWS::ApplicationAutoScaling::ScalableTarget"
    supported = frozenset({*IDENTITY, "MinCapacity", "MaxCapacity", "RoleARN", "SuspendedState"})

    def create(self, request: Request) -> Made:
        """Register the target."""
        fields = request.pick(*IDENTITY, "MinCapacity", "MaxCapacity", "RoleARN", "SuspendedState")
        request.client("application-autoscaling").register_scalable_target(**fields)
        identity = "|".join(request.properties[name] for name in IDENTITY)
        return Made(identity, {"Id": identity})

    def update(self, request: Request, physical_id: str) -> Made:
        """Register it again."""
        return self.create(request)

    def delete(self, request: Request, physical_id: str) -> None:
        """Deregister the target."""
        fields = request.pick(*IDENTITY)
        ignore_missing(lambda: request.client("application-autoscaling").deregister_scalable_target(**fields))


@provider
class ScalingPolicy(Provider):
    """AWS::ApplicationAutoScaling::ScalingPolicy."""

    type_name = "AWS::ApplicationAutoScaling::ScalingPolicy"
    settings = ("PolicyType", "TargetTrackingScalingPolicyConfiguration", "StepScalingPolicyConfiguration")
    supported = frozenset({*IDENTITY, *settings, "PolicyName", "ScalingTargetId"})

    def create(self, request: Request) -> Made:
        """Put the policy."""
        answer = request.client("application-autoscaling").put_scaling_policy(
            **self._identity(request), **request.pick("PolicyName", *self.settings)
        )
        return Made(answer["PolicyARN"], {"Arn": answer["PolicyARN"]})

    def update(self, request: Request, physical_id: str) -> Made:
        """Put it again."""
        return self.create(request)

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the policy."""
        fields = {**self._identity(request), **request.pick("PolicyName")}
        ignore_missing(lambda: request.client("application-autoscaling").delete_scaling_policy(**fields))

    @staticmethod
    def _identity(request: Request) -> dict[str, str]:
        target = request.properties.get("ScalingTargetId")
        if target:
            return dict(zip(IDENTITY, target.split("|"), strict=True))
        return request.pick(*IDENTITY)
