"""variables.index (a LevelDB table of tensor descriptions) against the data files it describes.

Names, counts and sizes are checked, and the index's own checksums; tensor_sums.py checks the bytes of each tensor.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from modeldrop.artifact.findings import Findings, shown
from modeldrop.artifact.messages import DTYPES, message
from modeldrop.artifact.wire_stream import UnreadableError

MAX_INDEX_BYTES = 8 * 1024 * 1024
MAX_TENSORS = 100_000
MAX_SHARDS = 10_000
INDEX_NAME = "variables/variables.index"
_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48
_TRAILER_BYTES = 5  # kind of compression, masked CRC32C
_CRC_DELTA = 0xA282EAD8


@dataclass(frozen=True)
class Tensor:
    """Where one tensor lies. expected_size: by dtype and shape; None where that cannot be known."""

    name: str
    shard: int
    offset: int
    size: int
    expected_size: int | None
    dtype: int = field(default=0, compare=False)
    elements: int = field(default=0, compare=False)
    masked_crc: int = field(default=0, compare=False)
    sliced: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Index:
    """A whole variables.index."""

    shards: int
    tensors: tuple[Tensor, ...]


def check_variables(directory: str, index_bytes: bytes, files: Mapping[str, int], findings: Findings) -> int:
    """Compare the index with the data files beside it; the bytes of all tensors, 0 when the index is unreadable."""
    from google.protobuf.message import DecodeError

    where = f"{directory}/{INDEX_NAME}"
    try:
        index = read_index(index_bytes)
    except (UnreadableError, DecodeError) as error:
        findings.add("VARIABLES_INDEX", f"cannot be read: {shown(str(error))}", where)
        return 0
    names = [f"{directory}/variables/variables.data-{n:05d}-of-{index.shards:05d}" for n in range(index.shards)]
    found = {path for path in files if path.startswith(f"{directory}/variables/variables.data-")}
    for path in sorted(found ^ set(names)):
        what = "is missing" if path in names else f"is not one of the {index.shards} files of the index"
        findings.add("VARIABLES_SHARDS", f"a data file {what}", path)
    _check_tensors(index, names, files, findings)
    return sum(tensor.size for tensor in index.tensors)


def read_index(content: bytes) -> Index:
    """Read a tensor bundle's index; UnreadableError or protobuf's DecodeError when it is not one."""
    header = None
    tensors: list[Tensor] = []
    for key, value in _table(content):
        if key == b"" and header is None:
            header = message("BundleHeaderProto")()
            header.ParseFromString(value)
        else:
            entry = message("BundleEntryProto")()
            entry.ParseFromString(value)
            tensors.append(_tensor(key, entry))
            if len(tensors) > MAX_TENSORS:
                raise UnreadableError(f"more than {MAX_TENSORS:,} tensors")
    if header is None:
        raise UnreadableError("it has no header")
    if header.endianness != 0 or not 0 <= header.num_shards <= MAX_SHARDS:
        raise UnreadableError(f"{header.num_shards} data files, endianness {header.endianness}")
    return Index(header.num_shards, tuple(tensors))


def _tensor(key: bytes, entry: Any) -> Tensor:
    shape, dtype = entry.shape, entry.dtype
    element = DTYPES.get(dtype, ("", 0))[1]
    dims = [dim.size for dim in shape.dim]
    # a partitioned variable has its bytes in its slices' entries
    known = element and not shape.unknown_rank and not entry.slices and all(dim >= 0 for dim in dims)
    return Tensor(
        name=shown(key.decode("utf-8", "backslashreplace")),
        shard=entry.shard_id,
        offset=entry.offset,
        size=entry.size,
        expected_size=math.prod(dims) * element if known else None,
        dtype=dtype,
        elements=math.prod(dims) if all(dim >= 0 for dim in dims) else 0,
        masked_crc=entry.crc32c,
        sliced=bool(entry.slices),
    )


def _check_tensors(index: Index, names: list[str], files: Mapping[str, int], findings: Findings) -> None:
    by_shard: dict[int, list[Tensor]] = defaultdict(list)
    for tensor in index.tensors:
        if not 0 <= tensor.shard < max(index.shards, 1) or tensor.offset < 0 or tensor.size < 0:
            what = f"file {tensor.shard}, offset {tensor.offset}, size {tensor.size}"
            findings.add("VARIABLES_TENSOR", what, tensor.name)
        elif tensor.expected_size is not None and tensor.size != tensor.expected_size:
            what = f"{tensor.size} bytes, its shape and type need {tensor.expected_size}"
            findings.add("VARIABLES_TENSOR", what, tensor.name)
        else:
            by_shard[tensor.shard].append(tensor)
    if findings.has("VARIABLES_TENSOR"):
        return
    for shard, name in enumerate(names):
        end = 0
        for tensor in sorted(by_shard[shard], key=lambda tensor: (tensor.offset, tensor.size)):
            if tensor.offset < end:
                findings.add("VARIABLES_TENSOR", f"it overlaps another tensor at byte {tensor.offset}", tensor.name)
            end = max(end, tensor.offset + tensor.size)
        if name in files and (files[name] != end or end != sum(tensor.size for tensor in by_shard[shard])):
            findings.add("VARIABLES_SHARDS", f"{files[name]:,} bytes, the index describes {end:,}", name)


def _table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and value pairs of an uncompressed LevelDB table, in order; no byte of it is read twice."""
    if len(content) < _FOOTER_BYTES or int.from_bytes(content[-8:], "little") != _MAGIC:
        raise UnreadableError("it does not end as a table does")
    footer = content[-_FOOTER_BYTES:]
    _, at = _handle(footer, 0)
    index, _ = _handle(footer, at)
    end = 0
    for _, handle in _entries(_block(content, index)):
        (offset, size), _ = _handle(handle, 0)
        if offset < end:
            raise UnreadableError(f"the block at {offset} starts inside the one before")
        end = offset + size + _TRAILER_BYTES
        yield from _entries(_block(content, (offset, size)))


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return (offset, size), at


def _block(content: bytes, handle: tuple[int, int]) -> bytes:
    import crc32c

    offset, size = handle
    trailer = content[offset + size : offset + size + _TRAILER_BYTES]
    if len(trailer) < _TRAILER_BYTES:
        raise UnreadableError(f"a block at {offset} with {size} bytes lies outside")
    if trailer[0] != 0:
        raise UnreadableError("it is compressed")
    crc = crc32c.crc32c(content[offset : offset + size + 1])
    if masked(crc) != int.from_bytes(trailer[1:], "little"):
        raise UnreadableError(f"wrong checksum of the block at {offset}")
    return content[offset : offset + size]


def masked(crc: int) -> int:
    """A CRC32C as TensorFlow stores it, so that a checksum over data with checksums in it stays one."""
    return ((crc >> 15 | crc << 17) + _CRC_DELTA) & 0xFFFFFFFF


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Entries share the start of their key with the one before; restart points follow them."""
    end = len(block) - 4 - 4 * int.from_bytes(block[-4:], "little")
    if len(block) < 4 or end < 0:
        raise UnreadableError("a block without restart points")
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        added, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or at + added + length > end:
            raise UnreadableError("an entry is longer than its block")
        key = key[:shared] + block[at : at + added]
        yield key, block[at + added : at + added + length]
        at += added + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise UnreadableError("a number that does not end")
