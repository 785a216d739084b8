"""IAM roles and policies."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from localcloud.cloudformation.provider import Made, Provider, Request, ignore_missing, provider


def _document(value: Any) -> str:
    if isinstance(value, str):
        return value
    # SAM's policy templates carry no Version, which IAM takes and moto does not
    return json.dumps({"Version": "2012-10-17", **value})


@provider
class Role(Provider):
    """AWS::IAM::Role."""

    type_name = "AWS::IAM::Role"
    name_property = "RoleName"
    supported = frozenset(
        {
            "AssumeRolePolicyDocument",
            "Description",
            "ManagedPolicyArns",
            "MaxSessionDuration",
            "Path",
            "PermissionsBoundary",
            "Policies",
            "RoleName",
            "Tags",
        }
    )

    def create(self, request: Request) -> Made:
        """Make the role with its inline and managed policies."""
        name = request.name("RoleName", 64)
        role = request.client("iam").create_role(
            RoleName=name,
            AssumeRolePolicyDocument=_document(request.properties["AssumeRolePolicyDocument"]),
            Tags=request.tag_list(),
            **request.pick("Description", "MaxSessionDuration", "Path", "PermissionsBoundary"),
        )["Role"]
        self._put_policies(request, name)
        return Made(name, {"Arn": role["Arn"], "RoleId": role["RoleId"]})

    def update(self, request: Request, physical_id: str) -> Made:
        """Change policies in place."""
        iam, name = request.client("iam"), {"RoleName": physical_id}
        trust = _document(request.properties["AssumeRolePolicyDocument"])
        iam.update_assume_role_policy(**name, PolicyDocument=trust)
        if settings := request.pick("Description", "MaxSessionDuration"):
            iam.update_role(**name, **settings)
        boundary = request.properties.get("PermissionsBoundary")
        if boundary:
            iam.put_role_permissions_boundary(**name, PermissionsBoundary=boundary)
        elif request.previous.get("PermissionsBoundary"):
            iam.delete_role_permissions_boundary(**name)
        kept = {policy["PolicyName"] for policy in request.properties.get("Policies", [])}
        for policy in request.previous.get("Policies", []):
            if policy["PolicyName"] not in kept:
                iam.delete_role_policy(**name, PolicyName=policy["PolicyName"])
        for arn in set(request.previous.get("ManagedPolicyArns", [])) - set(
            request.properties.get("ManagedPolicyArns", [])
        ):
            iam.detach_role_policy(**name, PolicyArn=arn)
        self._put_policies(request, physical_id)
        role = iam.get_role(**name)["Role"]
        return Made(physical_id, {"Arn": role["Arn"], "RoleId": role["RoleId"]})

    def delete(self, request: Request, physical_id: str) -> None:
        """Detach and delete its policies, then the role."""
        ignore_missing(lambda: _delete_role(request.client("iam"), physical_id))

    @staticmethod
    def _put_policies(request: Request, name: str) -> None:
        iam = request.client("iam")
        for policy in request.properties.get("Policies", []):
            iam.put_role_policy(
                RoleName=name, PolicyName=policy["PolicyName"], PolicyDocument=_document(policy["PolicyDocument"])
            )
        for arn in request.properties.get("ManagedPolicyArns", []):
            iam.attach_role_policy(RoleName=name, PolicyArn=arn)


def _delete_role(iam: Any, name: str) -> None:
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
    iam.delete_role(RoleName=name)


@provider
class ManagedPolicy(Provider):
    """AWS::IAM::ManagedPolicy."""

    type_name = "AWS::IAM::ManagedPolicy"
    name_property = "ManagedPolicyName"
    supported = frozenset({"Description", "ManagedPolicyName", "Path", "PolicyDocument", "Roles", "Users", "Groups"})

    def create(self, request: Request) -> Made:
        """Make the policy and attach it."""
        arn = request.client("iam").create_policy(
            PolicyName=request.name("ManagedPolicyName", 128),
            PolicyDocument=_document(request.properties["PolicyDocument"]),
            **request.pick("Description", "Path"),
        )["Policy"]["Arn"]
        self._attach(request, arn)
        return Made(arn, {"PolicyArn": arn})

    def update(self, request: Request, physical_id: str) -> Made:
        """Make a new default version."""
        iam = request.client("iam")
        for version in iam.list_policy_versions(PolicyArn=physical_id)["Versions"]:
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=physical_id, VersionId=version["VersionId"])
        iam.create_policy_version(
            PolicyArn=physical_id,
            PolicyDocument=_document(request.properties["PolicyDocument"]),
            SetAsDefault=True,
        )
        for role in set(request.previous.get("Roles", [])) - set(request.properties.get("Roles", [])):
            ignore_missing(partial(iam.detach_role_policy, RoleName=role, PolicyArn=physical_id))
        self._attach(request, physical_id)
        return Made(physical_id, {"PolicyArn": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Detach and delete the policy."""
        iam = request.client("iam")
        for role in request.properties.get("Roles", []):
            ignore_missing(partial(iam.detach_role_policy, RoleName=role, PolicyArn=physical_id))
        ignore_missing(lambda: iam.delete_policy(PolicyArn=physical_id))

    @staticmethod
    def _attach(request: Request, arn: str) -> None:
        iam = request.client("iam")
        for role in request.properties.get("Roles", []):
            iam.attach_role_policy(RoleName=role, PolicyArn=arn)
        for user in request.properties.get("Users", []):
            iam.attach_user_policy(UserName=user, PolicyArn=arn)
        for group in request.properties.get("Groups", []):
            iam.attach_group_policy(GroupName=group, PolicyArn=arn)


@provider
class InlinePolicy(Provider):
    """AWS::IAM::Policy."""

    type_name = "AWS::IAM::Policy"
    supported = frozenset({"PolicyName", "PolicyDocument", "Roles", "Users", "Groups"})

    def create(self, request: Request) -> Made:
        """Put the policy into every role, user and group."""
        return self.update(request, request.name("-", 128))

    def update(self, request: Request, physical_id: str) -> Made:
        """Put it again."""
        iam, given = request.client("iam"), request.properties
        policy = {"PolicyName": given["PolicyName"], "PolicyDocument": _document(given["PolicyDocument"])}
        for role in given.get("Roles", []):
            iam.put_role_policy(RoleName=role, **policy)
        for user in given.get("Users", []):
            iam.put_user_policy(UserName=user, **policy)
        for group in given.get("Groups", []):
            iam.put_group_policy(GroupName=group, **policy)
        return Made(physical_id, {"Id": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Take it out again."""
        iam, name = request.client("iam"), {"PolicyName": request.properties["PolicyName"]}
        for role in request.properties.get("Roles", []):
            ignore_missing(partial(iam.delete_role_policy, RoleName=role, **name))
        for user in request.properties.get("Users", []):
            ignore_missing(partial(iam.delete_user_policy, UserName=user, **name))
        for group in request.properties.get("Groups", []):
            ignore_missing(partial(iam.delete_group_policy, GroupName=group, **name))
