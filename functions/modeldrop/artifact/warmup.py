"""The warm-up file, which TF Serving replays before a model is available: a TFRecord of PredictionLog messages.

A file that cannot be read, or a request the model does not take, makes the load fail: found here, before a GPU is paid
for. tensorflow_serving/apis/prediction_log.proto and core/logging in TensorFlow Serving give the field numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from modeldrop.artifact.findings import Findings, shown
from modeldrop.artifact.variables import masked
from modeldrop.artifact.wire_stream import BytesSource, UnreadableError, WireStream

WARMUP_NAME = "assets.extra/tf_serving_warmup_requests"
MAX_WARMUP_BYTES = 16 * 1024 * 1024
MAX_RECORDS = 1000  # WarmupConsts::kMaxNumRecords
MAX_FIELDS = 10_000  # of one message: inputs of a request, which empty fields could make millions of
# the oneof of PredictionLog
_KINDS = {1: "classify", 2: "regress", 3: "multi_inference", 6: "predict", 7: "session_run", 8: "predict_streamed"}


def check_warmup(content: bytes, signatures: Mapping[str, Any], path: str, findings: Findings) -> None:
    """Read every record; predict requests must name a signature and its inputs."""
    count = 0
    try:
        for count, record in enumerate(records(content), start=1):
            if count > MAX_RECORDS:
                raise UnreadableError(f"more than {MAX_RECORDS:,} records, which is the most that is read")
            problem = _problem(record, signatures)
            if problem:
                findings.add("WARMUP_INVALID", f"record {count}: {problem}", path)
    except (UnreadableError, UnicodeDecodeError) as error:
        findings.add("WARMUP_INVALID", shown(str(error)), path)
        return
    if not findings.has("WARMUP_"):
        findings.add("WARMUP_OK", f"{count} warm-up requests", path)


def records(content: bytes) -> Iterator[bytes]:
    """Records of a TFRecord file: length, its masked CRC32C, data, its masked CRC32C."""
    import crc32c

    at = number = 0
    while at < len(content):
        number += 1
        if len(content) - at < 16:
            raise UnreadableError(f"record {number} is cut off")
        header = content[at : at + 8]
        length = int.from_bytes(header, "little")
        if masked(crc32c.crc32c(header)) != int.from_bytes(content[at + 8 : at + 12], "little"):
            raise UnreadableError(f"record {number}: wrong checksum of its length")
        if length > len(content) - at - 16:
            raise UnreadableError(f"record {number} is longer than the file")
        data = content[at + 12 : at + 12 + length]
        end = at + 16 + length
        if masked(crc32c.crc32c(data)) != int.from_bytes(content[end - 4 : end], "little"):
            raise UnreadableError(f"record {number}: wrong checksum of its data")
        yield data
        at = end


def _problem(record: bytes, signatures: Mapping[str, Any]) -> str:
    """What is wrong with one PredictionLog; empty when nothing is."""
    kinds = [(_KINDS[number], log) for number, log in fields(record) if number in _KINDS]
    if not kinds:
        return "it holds no request"
    kind, log = kinds[-1]
    request = next((value for number, value in fields(log) if number == 1), b"")
    if kind != "predict":
        return ""
    spec = next((value for number, value in fields(request) if number == 1), b"")
    name = next((value.decode() for number, value in fields(spec) if number == 3), "") or "serving_default"
    if name not in signatures:
        return f"signature {shown(name, 60)} is not in the model"
    entries = (dict(fields(entry)) for number, entry in fields(request) if number == 2)
    given = {entry.get(1, b"").decode() for entry in entries}
    wanted = set(signatures[name]["inputs"])
    if given != wanted:
        return f"inputs {shown(', '.join(sorted(given)), 80)}; {name} takes {', '.join(sorted(wanted))[:80]}"
    return ""


def fields(content: bytes) -> list[tuple[int, bytes]]:
    """Number and content of a message's length-delimited fields; UnreadableError when there are very many."""
    stream = WireStream(BytesSource(content))
    found = [(number, stream.take(size)) for number, size in islice(stream.fields(len(content)), MAX_FIELDS + 1)]
    if len(found) > MAX_FIELDS:
        raise UnreadableError(f"a message has more than {MAX_FIELDS:,} fields")
    return found
