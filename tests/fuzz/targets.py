"""What is fuzzed: each target takes any bytes, and raises only when a reader is wrong.

Checksums are made right where a reader would stop at them at once, so that what lies behind them is reached.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Callable

import crc32c
from google.protobuf.message import DecodeError

from modeldrop.artifact.findings import FatalFindingError, Findings
from modeldrop.artifact.golden import MAX_STORED_BYTES, golden_jsonl, parse_golden
from modeldrop.artifact.gzip_stream import GzipReader
from modeldrop.artifact.tar_stream import TarReader
from modeldrop.artifact.variables import read_index
from modeldrop.artifact.warmup import check_warmup, records
from modeldrop.artifact.warmup_requests import predict_requests
from modeldrop.artifact.wire_stream import UnreadableError
from modeldrop.errors import PolicyRejectedError
from modeldrop.policy.parse import parse_policy
from modeldrop.policy.wire import policy_from_json, policy_to_json

MAX_REFUSAL_CHARACTERS = 5_000
LIMIT = 1 << 24
BLOCK = 512
WARMUP_SIGNATURES = {"serving_default": {"inputs": {"x": {}}}}


def gzip_stream(data: bytes) -> None:
    """What is read is what Python's gzip reads; what it refuses is refused."""
    source = GzipReader(io.BytesIO(data), Findings(), LIMIT, None)
    try:
        found = source.read(LIMIT)
        while source.view_some(LIMIT):
            pass
    except FatalFindingError:
        return
    assert found == gzip.decompress(data)


def tar_archive(data: bytes) -> None:
    """An archive without a finding has the names and contents that tarfile sees."""
    archive = _with_header_checksums(data[: 1 << 16])
    findings = Findings()
    source = GzipReader(io.BytesIO(_stored(archive)), findings, LIMIT, None)
    try:
        found = {member.path: member.read(member.size) for member in TarReader(source, findings).members()}
    except FatalFindingError:
        return
    if findings.checks():
        return
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as other:
        expected = {
            _clean(one.name): other.extractfile(one).read() if one.isreg() else b""  # type: ignore[union-attr]
            for one in other
        }
    expected.pop("", None)  # the root itself
    found.pop("", None)
    assert found == expected, (found, expected)


def variables_index(data: bytes) -> None:
    """A table is read, or refused with the error for it."""
    for content in (data, _with_block_checksums(data)):
        try:
            read_index(content)
        except (UnreadableError, DecodeError):
            continue


def warmup_file(data: bytes) -> None:
    """Records are those that the file is made of; requests taken from them can be stored and read again."""
    for content in (data, _records(data)):
        findings = Findings()
        check_warmup(content, WARMUP_SIGNATURES, "warmup", findings)
        (code,) = {check.code for check in findings.checks()}
        try:
            found = list(records(content))
        except UnreadableError:
            assert code == "WARMUP_INVALID"
            continue
        assert b"".join(map(_record, found)) == content
        asked = predict_requests(found)
        stored = golden_jsonl(asked)
        assert golden_jsonl(parse_golden(stored, MAX_STORED_BYTES) if asked else ()) == stored


def policy_file(data: bytes) -> None:
    """A policy is read, or refused with few problems and little text; one that is read survives the way to JSON."""
    for is_stack in (False, True):
        try:
            found = parse_policy(
                data,
                default_instance_type="ml.g5.xlarge",
                default_instance_count=2,
                signature_key="ssm:/modeldrop/signing-key" if is_stack else "",
            )
        except PolicyRejectedError as refused:
            assert sum(len(str(problem)) for problem in refused.problems) < MAX_REFUSAL_CHARACTERS
            continue
        assert policy_from_json(json.loads(json.dumps(policy_to_json(found)))) == found
        assert not is_stack or (found.signature.required and found.artifact.code == "refuse")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "gzip_stream": gzip_stream,
    "tar_archive": tar_archive,
    "variables_index": variables_index,
    "warmup_file": warmup_file,
    "policy_file": policy_file,
}


def _clean(name: str) -> str:
    return "" if name in (".", "./") else name.removesuffix("/").removeprefix("./")


def _stored(content: bytes) -> bytes:
    packer = zlib.compressobj(0, wbits=31)
    return packer.compress(content) + packer.flush()


def _with_header_checksums(data: bytes) -> bytes:
    """Header after header, each where the size of the one before puts it."""
    archive, at = bytearray(data), 0
    while at + BLOCK <= len(archive) and any(archive[at : at + BLOCK]):
        archive[at + 148 : at + 156] = b" " * 8
        archive[at + 148 : at + 156] = b"%06o\0 " % sum(archive[at : at + BLOCK])
        digits = bytes(archive[at + 124 : at + 136]).strip(b" \0")
        size = int(digits, 8) if digits and all(48 <= one <= 55 for one in digits) else 0
        at += BLOCK + -(-size // BLOCK) * BLOCK
    return bytes(archive)


def _with_block_checksums(data: bytes) -> bytes:
    """Data block from 0 up to the index block, then the index block: the first two bytes say how long each is."""
    if len(data) < 4:
        return data
    first, second = data[0], data[1]
    body = data[2:]
    data_block, index_block = body[:first], body[first : first + second]
    content, handles = b"", b""
    for block in (data_block, index_block):
        handles += _varint(len(content)) + _varint(len(block))
        content += block + b"\0" + _masked_crc(block + b"\0")
    footer = handles.ljust(40, b"\0") + 0xDB4775248B80FB57.to_bytes(8, "little")
    return content + footer


def _records(data: bytes) -> bytes:
    """Record after record, each as long as two bytes before it say."""
    found, at = b"", 0
    while at + 2 <= len(data):
        length = int.from_bytes(data[at : at + 2], "little")
        found += _record(data[at + 2 : at + 2 + length])
        at += 2 + length
    return found


def _record(content: bytes) -> bytes:
    length = len(content).to_bytes(8, "little")
    return length + _masked_crc(length) + content + _masked_crc(content)


def _masked_crc(content: bytes) -> bytes:
    crc = crc32c.crc32c(content)
    return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80, value >> 7])
