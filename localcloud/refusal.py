"""What the local cloud does not do is refused in AWS's own words and protocol, never with HTML or silence."""

from __future__ import annotations

import io
import json
import logging
import re
import uuid
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment
from xml.sax.saxutils import escape

from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader

Application = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]
SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request")
# services whose signing name is not the name of their botocore model
MODELS = {"monitoring": "cloudwatch", "states": "stepfunctions", "execute-api": "apigatewaymanagementapi"}
_LOG = logging.getLogger(__name__)


def cover(app: Application) -> Application:
    """Return an application that turns what moto lacks or trips over into AWS-shaped errors."""

    def covered(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        held: list[Any] = []
        form = _keep_form(environ)

        def hold(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            held[:] = [status, headers]
            return lambda _data: None

        try:
            body = app(environ, hold)
            status, headers = held
            if not status.startswith(("4", "5")):
                start_response(status, headers)
                return body
            body = [b"".join(body)]
            if not _is_page(body[0]):
                start_response(status, headers)
                return body
        except NotImplementedError:
            pass
        except Exception as error:
            _LOG.exception("%s failed", what_is_asked(environ, form))
            reason = f"the local cloud failed on {what_is_asked(environ, form)}: {type(error).__name__}: {error}"
            return refuse(environ, start_response, 500, "InternalFailure", reason)
        reason = f"the local cloud does not implement {what_is_asked(environ, form)}"
        return refuse(environ, start_response, 501, "NotImplemented", reason)

    return covered


def refuse(
    environ: WSGIEnvironment, start_response: StartResponse, status: int, code: str, message: str, protocol: str = ""
) -> list[bytes]:
    """Answer an error in a protocol, by default the one that the caller speaks."""
    request_id = str(uuid.uuid4())
    text, headers = escape(message), [("x-amzn-RequestId", request_id)]
    protocol = protocol or _protocol(environ)
    if protocol == "rpc-v2-cbor":
        body = _cbor_map({"__type": code, "message": message})
        headers += [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")]
    elif protocol == "s3":
        body = (
            f"<Error><Code>{code}</Code><Message>{text}</Message><RequestId>{request_id}</RequestId></Error>".encode()
        )
        headers.append(("Content-Type", "application/xml"))
    elif protocol in ("query", "ec2", "rest-xml"):
        body = (
            f"<ErrorResponse><Error><Type>Receiver</Type><Code>{code}</Code><Message>{text}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        ).encode()
        headers.append(("Content-Type", "text/xml"))
    else:
        body = json.dumps({"__type": code, "code": code, "message": message}).encode()
        headers += [("Content-Type", "application/json"), ("x-amzn-errortype", code)]
    headers.append(("Content-Length", str(len(body))))
    start_response(f"{status} {code}", headers)
    return [body]


def what_is_asked(environ: WSGIEnvironment, form: bytes = b"") -> str:
    """Return service and action of a request, as far as they can be told; form: the body of a form that was posted."""
    service = _service(environ) or "an unknown service"
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return f"{service} {target.split('.')[-1]}"
    path, method = environ.get("PATH_INFO", "/"), environ.get("REQUEST_METHOD", "")
    if "/operation/" in path:
        return f"{service} {path.rsplit('/', 1)[1]}"
    query = parse_qs(environ.get("QUERY_STRING", "")) | parse_qs(form.decode(errors="replace"))
    action = query["Action"][0] if "Action" in query else _rest_action(service, method, path)
    return f"{service} {action or f'{method} {path}'}"


def _keep_form(environ: WSGIEnvironment) -> bytes:
    """Return the body of a form, and let the application read it as if nobody had."""
    if not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return b""
    form: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(form)
    return form


def _rest_action(service: str, method: str, path: str) -> str | None:
    for name, operation in _model(service).get("operations", {}).items():
        http = operation.get("http", {})
        parts = re.split(r"\{[^}]+\}", http.get("requestUri", "").split("?")[0].rstrip("/"))
        pattern = "[^/]+".join(map(re.escape, parts)) + "/?"
        if http.get("method") == method and re.fullmatch(pattern, path):
            return str(name)
    return None


def _service(environ: WSGIEnvironment) -> str | None:
    found = SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    return found.group(1) if found else None


def _protocol(environ: WSGIEnvironment) -> str:
    if environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        return "rpc-v2-cbor"
    if environ.get("HTTP_X_AMZ_TARGET"):
        return "json"
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return "query"
    service = _service(environ) or "s3"
    return "s3" if service == "s3" else str(_model(service).get("metadata", {}).get("protocol", "rest-json"))


@cache
def _model(service: str) -> dict[str, Any]:
    try:
        return dict(Loader().load_service_model(MODELS.get(service, service), "service-2"))
    except UnknownServiceError:
        return {}


def _is_page(body: bytes) -> bool:
    return body.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html"))


def _cbor_map(fields: dict[str, str]) -> bytes:
    """Encode a small map of texts (RFC 8949)."""
    out = bytes([0xA0 | len(fields)])
    for pair in fields.items():
        for text in pair:
            data = text.encode()
            out += b"\x79" + len(data).to_bytes(2) + data
    return out
