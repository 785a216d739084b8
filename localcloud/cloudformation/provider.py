"""What a resource provider is: how one type of resource is made, changed and deleted through the public API."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from localcloud.cloudformation.errors import DeployError
from localcloud.core import Core

ALPHABET = string.ascii_uppercase + string.digits
SUFFIX_LENGTH = 12


@dataclass(frozen=True)
class Made:
    """A resource that exists. physical_id: what Ref gives; attributes: what GetAtt gives."""

    physical_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """One resource of one stack, as its provider sees it.

    properties: resolved and checked. previous: those of the deployed resource, empty on creation.
    """

    core: Core
    stack_name: str
    logical_id: str
    properties: dict[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)
    previous: Mapping[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Return a boto3 client of this cloud."""
        return self.core.client(service)

    def name(self, prop: str, limit: int, lower: bool = False) -> str:
        """Return the name that was given in a property, or one made as CloudFormation makes it."""
        if self.properties.get(prop):
            return str(self.properties[prop])
        suffix = "".join(random.choices(ALPHABET, k=SUFFIX_LENGTH))  # noqa: S311 a name, not a secret
        room = limit - SUFFIX_LENGTH - 2
        logical = self.logical_id[: max(room // 2, room - len(self.stack_name))]
        name = f"{self.stack_name[: room - len(logical)]}-{logical}-{suffix}"
        return name.lower() if lower else name

    def all_tags(self) -> dict[str, str]:
        """Return the stack's tags and the resource's own, which win."""
        own = self.properties.get("Tags") or []
        pairs = own if isinstance(own, dict) else {tag["Key"]: tag["Value"] for tag in own}
        return {**self.tags, **pairs}

    def tag_list(self, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
        """Return the tags in the form most APIs take."""
        return [{key: name, value: text} for name, text in self.all_tags().items()]

    def pick(self, *names: str) -> dict[str, Any]:
        """Return the properties that are present, by name."""
        return {name: self.properties[name] for name in names if name in self.properties}


class Provider:
    """One resource type.

    type_name: AWS's name. name_property: the property that holds a custom name, if the type has one.
    supported: the properties that are acted on; another one fails the resource, since dropping it would be a lie.
    """

    type_name: ClassVar[str]
    name_property: ClassVar[str | None] = None
    supported: ClassVar[frozenset[str]]

    def create(self, request: Request) -> Made:
        """Make the resource."""
        raise NotImplementedError

    def update(self, request: Request, physical_id: str) -> Made:
        """Change the resource in place."""
        raise DeployError(f"the local cloud cannot update {self.type_name}")

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the resource; one that is already gone is no error."""
        raise NotImplementedError

    def check_supported(self, properties: Mapping[str, Any]) -> None:
        """Raise DeployError for a property that exists on AWS and not here."""
        if unsupported := sorted(set(properties) - self.supported):
            raise DeployError(f"the local cloud does not support {', '.join(unsupported)} of {self.type_name}")


PROVIDERS: dict[str, Provider] = {}


def provider(kind: type[Provider]) -> type[Provider]:
    """Register a provider class."""
    PROVIDERS[kind.type_name] = kind()
    return kind


def ignore_missing(call: Callable[[], Any], *codes: str) -> None:
    """Call, and take an error that says the thing is gone for success."""
    from botocore.exceptions import ClientError

    try:
        call()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in codes and not any(
            word in code for word in ("NotFound", "NoSuch", "NonExistent", "DoesNotExist")
        ):
            raise


def lower_keys(value: Any) -> Any:
    """Return a structure with every key starting in lower case, as some APIs spell what CloudFormation capitalises."""
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: lower_keys(member) for key, member in value.items()}
    return [lower_keys(member) for member in value] if isinstance(value, list) else value
