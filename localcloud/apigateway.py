"""API Gateway is deployed and described here, never called; a call says so."""

from __future__ import annotations

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from localcloud.refusal import Application, refuse

MESSAGE = (
    "the local cloud deploys and describes API Gateway, but does not run its integrations: "
    "call the service behind it, for a model SageMaker runtime's InvokeEndpoint"
)


def refuse_calls(app: Application) -> Application:
    """Return an application that answers a call of a deployed API with what to do instead."""

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        signed_for_api = "/execute-api/aws4_request" in environ.get("HTTP_AUTHORIZATION", "")
        if signed_for_api or ".execute-api." in environ.get("HTTP_HOST", ""):
            return refuse(environ, start_response, 501, "NotImplemented", MESSAGE, protocol="rest-json")
        return app(environ, start_response)

    return guarded
