"""The CRC32C of every tensor in the data files, read forward; a wrong one names the tensor."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Protocol

from modeldrop.artifact.findings import Findings
from modeldrop.artifact.messages import DT_STRING
from modeldrop.artifact.variables import Index, Tensor, masked

PIECE_BYTES = 1024 * 1024
# strings are summed by their lengths, which come first, so they are held at once
MAX_STRINGS_BYTES = 32 * 1024 * 1024
DT_VARIANT = 21


class Readable(Protocol):
    """A member of the archive."""

    def read(self, at_most: int) -> bytes:
        """`at_most` bytes, fewer only at the end."""


def check_shard(index: Index, shard: int, path: str, content: Readable, findings: Findings) -> int:
    """Sum every tensor of one data file; the number of tensors that were not summed, for their type or size.

    The sizes were compared before (variables.py), so tensors follow each other without gaps.
    """
    left_out, at = 0, 0
    tensors = sorted((one for one in index.tensors if one.shard == shard and not one.sliced), key=lambda t: t.offset)
    for tensor in tensors:
        if tensor.offset < at:
            return left_out  # an overlap, which has its own finding
        _pass(content, tensor.offset - at)
        at = tensor.offset + tensor.size
        summed = _sum(tensor, content)
        if summed is None:
            left_out += 1
        elif masked(summed) != tensor.masked_crc:
            what = f"tensor {tensor.name}: its {tensor.size:,} bytes have not the checksum of the index"
            findings.add("VARIABLES_CHECKSUM", what, path)
    return left_out


def _sum(tensor: Tensor, content: Readable) -> int | None:
    if tensor.dtype == DT_VARIANT or (tensor.dtype == DT_STRING and tensor.size > MAX_STRINGS_BYTES):
        _pass(content, tensor.size)
        return None
    if tensor.dtype == DT_STRING:
        return _string_sum(content.read(tensor.size), tensor.elements)
    import crc32c

    crc = 0

    def add(piece: bytes) -> None:
        nonlocal crc
        crc = crc32c.crc32c(piece, crc)

    _pass(content, tensor.size, add)
    return crc


def _string_sum(content: bytes, elements: int) -> int:
    """Lengths as 4 bytes each (8 over 4 GiB), the stored checksum of them, then the bytes; -1 when not strings."""
    import crc32c

    lengths, at = bytearray(), 0
    for _ in range(min(elements, len(content))):
        value = shift = 0
        while True:
            if at >= len(content) or shift > 63:
                return -1
            byte = content[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths += struct.pack("<I" if value < 2**32 else "<Q", value & 0xFFFFFFFFFFFFFFFF)
    return int(crc32c.crc32c(content[at:], crc32c.crc32c(bytes(lengths))))


def _pass(content: Readable, length: int, use: Callable[[bytes], None] | None = None) -> None:
    while length > 0:
        piece = content.read(min(length, PIECE_BYTES))
        if not piece:
            return
        if use is not None:
            use(piece)
        length -= len(piece)
