"""How the TensorFlow Serving container turns a request to /invocations into one to TensorFlow Serving.

Source: aws/deep-learning-containers, tensorflow/inference, tensorflowServing.js (the path without a Python service).
The rules work on the text, not on parsed JSON, and so does this module: their oddities are part of the contract.
"""

from __future__ import annotations

import re

from localcloud.model_server.errors import ServingError

ATTRIBUTES_HEADER = "x-amzn-sagemaker-custom-attributes"
JSON_TYPES = ("application/json", "application/jsonlines", "application/jsons")
_ATTRIBUTE = re.compile(r"tfs-[a-z\-]+=[^,]+")
_TFS_JSON = re.compile(r'"(instances|inputs|examples)"\s*:')
_JSON_LINES = re.compile(r"[}\]]\s*[\[{]")
_NESTED_LIST = re.compile(r"^\s*\[\s*\[")
_BARE_CSV = re.compile(r'^\s*("|[\d.Ee+\-]+.*)')
_KNOWN_METHODS = ("predict", "classify", "regress")


def parse_attributes(header: str | None) -> dict[str, str]:
    """Return the tfs-* entries of X-Amzn-SageMaker-Custom-Attributes; others pass unseen."""
    found = {}
    for match in _ATTRIBUTE.findall(header or ""):
        parts = match.split("=")
        if len(parts) == 2:
            found[parts[0]] = parts[1]
    method = found.get("tfs-method", "predict")
    if method not in _KNOWN_METHODS:
        raise ServingError(f"Malformed request: unknown method {method!r}, there are {', '.join(_KNOWN_METHODS)}")
    version = found.get("tfs-model-version", "0")
    if not version.isdecimal():
        raise ServingError(f"Malformed request: model version {version!r} is not a number")
    return found


def to_tfs_json(content_type: str | None, body: bytes) -> str:
    """Return TensorFlow Serving's JSON for a request body; raises ServingError 415 for a type that is not served."""
    if content_type not in (*JSON_TYPES, "text/csv"):
        raise ServingError(f"Unsupported Media Type: {content_type or 'Unknown'}", 415)
    try:
        data = body.decode()
    except UnicodeDecodeError as error:
        raise ServingError(f"JSON Parse error: Invalid encoding in string. at offset: {error.start}") from None
    if content_type == "text/csv":
        return _from_csv(data)
    if _TFS_JSON.search(data):
        return data
    if _JSON_LINES.search(data):
        return _from_lines(data)
    return '{"instances":' + (data if _NESTED_LIST.match(data) else f"[{data}]") + "}"


def answer_type(accept: str | None) -> str:
    """Return the Content-Type of an answer: the first of Accept where JSON is acceptable at all."""
    accepted = [part.strip() for part in (accept or "").split(",")]
    if "application/jsonlines" in accepted or "application/json" in accepted:
        return accepted[0]
    return "application/json"


def _from_lines(data: str) -> str:
    lines = re.split(r"\r?\n", data.strip())
    if len(lines) == 1:
        return '{"instances":' + lines[0].strip() + "}"
    return '{"instances":[' + ",".join(line.strip() for line in lines if line.strip()) + "]}"


def _from_csv(data: str) -> str:
    quote = _BARE_CSV.match(data) is None
    rows = []
    for line in re.split(r"\r?\n", data.strip()):
        text = line.strip()
        if not text:
            continue
        if quote:
            # the container replaces the first quote and the first comma only
            escaped = text.replace('"', '\\"', 1).replace(",", '","', 1)
            cells = f'"{escaped}"'
        else:
            cells = text
        rows.append(f"[{cells}]" if "," in text else cells)
    return '{"instances":[' + ",".join(rows) + "]}"
