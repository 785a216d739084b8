"""Protocol buffer wire format read forward from a stream, so that a model of any size is checked in little memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Protocol

BUFFER_BYTES = 64 * 1024
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class UnreadableError(ValueError):
    """The bytes are not what they should be; the text says what was met."""


class Source(Protocol):
    """What a WireStream reads: a member of the archive, or bytes."""

    def read_some(self, at_most: int) -> bytes:
        """Between 1 and `at_most` bytes; empty at the end."""

    def read(self, at_most: int) -> bytes:
        """`at_most` bytes, fewer only at the end."""


class BytesSource(io.BytesIO):
    """Bytes in memory as a source."""

    read_some = io.BytesIO.read1


class WireStream:
    """A cursor over the content of a source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._buffer = b""
        self._at = 0
        self.position = 0

    def fields(self, length: int) -> Iterator[tuple[int, int]]:
        """(field number, length) of every length-delimited field in the next `length` bytes; others are passed over.

        The caller may take, walk or leave the field's content: what is left is skipped.
        """
        end = self.position + length
        while self.position < end:
            tag = self._varint()
            number, wire_type = tag >> 3, tag & 7
            if number == 0:
                raise UnreadableError(f"field number 0 at byte {self.position}")
            if wire_type == _LENGTH:
                size = self._varint()
                field_end = self.position + size
                if field_end > end:
                    raise UnreadableError(f"field {number} at byte {self.position} is longer than what holds it")
                yield number, size
                self.skip(field_end - self.position)
            elif wire_type == _VARINT:
                self._varint()
            elif wire_type in (_FIXED32, _FIXED64):
                self.skip(4 if wire_type == _FIXED32 else 8)
            else:
                raise UnreadableError(f"wire type {wire_type} at byte {self.position}")
        if self.position != end:
            raise UnreadableError(f"a message ends inside a field at byte {self.position}")

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        found = self._buffer[self._at : self._at + length]
        self._at += len(found)
        if len(found) < length:
            rest = self._source.read(length - len(found))
            found += rest
        self.position += length
        if len(found) < length:
            raise UnreadableError(f"it ends at byte {self.position - length + len(found)}")
        return found

    def skip(self, length: int) -> None:
        """Pass over the next `length` bytes without keeping them."""
        while length > BUFFER_BYTES:
            self.take(BUFFER_BYTES)
            length -= BUFFER_BYTES
        self.take(length)

    def _varint(self) -> int:
        value = shift = 0
        while True:
            if self._at == len(self._buffer):
                self._buffer, self._at = self._source.read_some(BUFFER_BYTES), 0
                if not self._buffer:
                    raise UnreadableError(f"it ends at byte {self.position}")
            byte = self._buffer[self._at]
            self._at += 1
            self.position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise UnreadableError(f"a number of more than 64 bits at byte {self.position}")


def encoded_field(number: int, content: bytes) -> bytes:
    """A length-delimited field as it stands on the wire."""
    return _encoded(number << 3 | _LENGTH) + _encoded(len(content)) + content


def _encoded(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
