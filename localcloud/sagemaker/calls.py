"""Answer SageMaker's hosting calls in place of moto."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from localcloud.sagemaker import describe
from localcloud.sagemaker.hosting import Hosting
from localcloud.sagemaker.records import Json
from localcloud.sagemaker.shapes import check_request

OUR_KINDS = ("model", "endpoint-config", "endpoint")
Call = Callable[[Hosting, Json], Json]


def install(hosting: Hosting) -> None:
    """Patch moto's response classes."""
    from moto.core.responses import ActionResult, EmptyResult
    from moto.sagemaker.responses import SageMakerResponse

    def method(call: Call) -> Callable[[Any], Any]:
        def answer(self: Any) -> Any:
            result = call(hosting, _plain(self._get_params()))
            return ActionResult(result) if result else EmptyResult()

        return answer

    for name, call in CALLS.items():
        setattr(SageMakerResponse, name, method(call))
    for name, tag_call in TAG_CALLS.items():
        setattr(SageMakerResponse, name, _tag_method(hosting, tag_call, getattr(SageMakerResponse, name)))
    _forward_invocations(hosting)


def _plain(value: Any) -> Any:
    """Return request parameters as plain dicts and lists."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _create_model(hosting: Hosting, request: Json) -> Json:
    return {"ModelArn": hosting.registry.create_model(request)}


def _describe_model(hosting: Hosting, request: Json) -> Json:
    return describe.model(hosting.registry.model(request["ModelName"]))


def _delete_model(hosting: Hosting, request: Json) -> Json:
    hosting.registry.delete_model(request["ModelName"])
    return {}


def _list_models(hosting: Hosting, request: Json) -> Json:
    check_request("ListModels", request)
    with hosting.lock:
        items = [
            {"ModelName": m.name, "ModelArn": m.arn, "CreationTime": m.created}
            for m in hosting.registry.models.values()
        ]
    return _listed("Models", items, request, "ModelName")


def _create_endpoint_config(hosting: Hosting, request: Json) -> Json:
    return {"EndpointConfigArn": hosting.registry.create_config(request)}


def _describe_endpoint_config(hosting: Hosting, request: Json) -> Json:
    return describe.config(hosting.registry.config(request["EndpointConfigName"]))


def _delete_endpoint_config(hosting: Hosting, request: Json) -> Json:
    hosting.registry.delete_config(request["EndpointConfigName"])
    return {}


def _list_endpoint_configs(hosting: Hosting, request: Json) -> Json:
    check_request("ListEndpointConfigs", request)
    with hosting.lock:
        items = [
            {"EndpointConfigName": c.name, "EndpointConfigArn": c.arn, "CreationTime": c.created}
            for c in hosting.registry.configs.values()
        ]
    return _listed("EndpointConfigs", items, request, "EndpointConfigName")


def _create_endpoint(hosting: Hosting, request: Json) -> Json:
    return {"EndpointArn": hosting.create(request)}


def _update_endpoint(hosting: Hosting, request: Json) -> Json:
    return {"EndpointArn": hosting.update(request)}


def _describe_endpoint(hosting: Hosting, request: Json) -> Json:
    with hosting.lock:
        return describe.endpoint(hosting.find(request["EndpointName"]))


def _delete_endpoint(hosting: Hosting, request: Json) -> Json:
    hosting.delete(request["EndpointName"])
    return {}


def _list_endpoints(hosting: Hosting, request: Json) -> Json:
    check_request("ListEndpoints", request)
    with hosting.lock:
        items = [describe.summary(endpoint) for endpoint in hosting.endpoints.values()]
    return _listed("Endpoints", items, request, "EndpointName")


def _rescale(hosting: Hosting, request: Json) -> Json:
    return {"EndpointArn": hosting.rescale(request)}


def _listed(key: str, items: list[Json], request: Json, name_key: str) -> Json:
    shown, token = describe.page(items, request, name_key)
    return {key: shown, "NextToken": token} if token else {key: shown}


def _add_tags(hosting: Hosting, request: Json) -> Json:
    check_request("AddTags", request)
    hosting.registry.put_tags(request["ResourceArn"], request["Tags"])
    return {"Tags": _tag_list(hosting, request["ResourceArn"])}


def _list_tags(hosting: Hosting, request: Json) -> Json:
    return {"Tags": _tag_list(hosting, request["ResourceArn"])}


def _delete_tags(hosting: Hosting, request: Json) -> Json:
    hosting.registry.drop_tags(request["ResourceArn"], request["TagKeys"])
    return {}


def _tag_list(hosting: Hosting, arn: str) -> list[Json]:
    return [{"Key": key, "Value": value} for key, value in sorted(hosting.registry.tags(arn).items())]


def _tag_method(hosting: Hosting, call: Call, moto_method: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Tags of hosting's own resources are ours; those of all else stay moto's."""
    from moto.core.responses import ActionResult, EmptyResult

    def answer(self: Any) -> Any:
        request = _plain(self._get_params())
        kind, _, name = request["ResourceArn"].split(":")[-1].partition("/")
        if kind not in OUR_KINDS:
            return moto_method(self)
        _require_resource(hosting, kind, name)
        result = call(hosting, request)
        return ActionResult(result) if result else EmptyResult()

    return answer


def _require_resource(hosting: Hosting, kind: str, name: str) -> None:
    if kind == "endpoint":
        hosting.find(name)
    elif kind == "model":
        hosting.registry.model(name)
    else:
        hosting.registry.config(name)


def _forward_invocations(hosting: Hosting) -> None:
    """Calls from inside (Step Functions' SDK integration) reach the core's port; the front has the fleets."""
    from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

    def invoke_endpoint(self: Any) -> Any:
        body = self.raw_body if isinstance(self.raw_body, bytes) else str(self.raw_body or "").encode()
        passed = {k: v for k, v in self.headers.items() if k.lower().startswith(("x-amzn-", "content-type", "accept"))}
        url = f"{hosting.core.public_url}{self.path}"
        request = urllib.request.Request(url, body, passed, method="POST")  # noqa: S310 our own front
        try:
            with urllib.request.urlopen(request, timeout=70) as answer:  # noqa: S310 our own front
                return answer.status, _moto_headers(answer), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _moto_headers(error), error.read()

    def invoke_endpoint_async(_self: Any) -> Any:
        raise NotImplementedError("sagemaker-runtime InvokeEndpointAsync")

    patched: Any = SageMakerRuntimeResponse
    patched.invoke_endpoint = invoke_endpoint
    patched.invoke_endpoint_async = invoke_endpoint_async


def _moto_headers(answer: Any) -> dict[str, str]:
    """Return an answer's headers as moto wants them: with the status among them."""
    kept = {
        name: value for name, value in answer.headers.items() if name.lower() not in ("content-length", "connection")
    }
    return {**kept, "status": str(answer.status)}


CALLS: dict[str, Call] = {
    "create_model": _create_model,
    "describe_model": _describe_model,
    "delete_model": _delete_model,
    "list_models": _list_models,
    "create_endpoint_config": _create_endpoint_config,
    "describe_endpoint_config": _describe_endpoint_config,
    "delete_endpoint_config": _delete_endpoint_config,
    "list_endpoint_configs": _list_endpoint_configs,
    "create_endpoint": _create_endpoint,
    "update_endpoint": _update_endpoint,
    "describe_endpoint": _describe_endpoint,
    "delete_endpoint": _delete_endpoint,
    "list_endpoints": _list_endpoints,
    "update_endpoint_weights_and_capacities": _rescale,
}
TAG_CALLS: dict[str, Call] = {"add_tags": _add_tags, "list_tags": _list_tags, "delete_tags": _delete_tags}
