"""A forward-only gzip reader that refuses what the standard library lets pass.

CRC32 and length of every member are checked, a member that ends early and bytes after the last one are refused, and a
bomb is recognised by its output. (tarfile accepts a gzip without a trailer, and `r|gz` refuses several members.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from isal import igzip_lib, isal_zlib

from modeldrop.artifact.compressed import HashedPieces
from modeldrop.artifact.findings import Findings

OUTPUT_BYTES = 1024 * 1024
# a ratio says nothing about a small archive; deflate itself can reach 1030:1
RATIO_FROM_BYTES = 10 * 1000 * 1000
MAX_RATIO = 200
MAX_NAME_FIELD_BYTES = 64 * 1024
# empty members of 20 bytes would keep us busy for ever: after the first thousand they must carry something
FREE_MEMBERS = 1000
MIN_BYTES_A_MEMBER = 4096
OUTPUT_PER_INPUT_LIMIT = 4

_TEXT, _HEADER_CRC, _EXTRA, _NAME, _COMMENT, _RESERVED = 0x01, 0x02, 0x04, 0x08, 0x10, 0xE0


class GzipReader:
    """Reads uncompressed bytes of `stream`; the compressed ones are read and hashed ahead of it.

    stream: anything with read(n), only read forward. progress: told the compressed bytes used so far. Close it, so that
    nothing reads the stream any more.
    """

    def __init__(
        self, stream: BinaryIO, findings: Findings, max_size_bytes: int, progress: Callable[[int], None] | None
    ) -> None:
        self._pieces = HashedPieces(stream)
        self._findings = findings
        self._max_size_bytes = max_size_bytes
        self._progress = progress
        self._input = b""
        self._inflater: igzip_lib.IgzipDecompressor | None = None
        self._crc = 0
        self._member_bytes = 0
        self._output = memoryview(b"")
        self._ended = False
        self.members = 0
        self.size_bytes = 0
        self.uncompressed_bytes = 0

    def close(self) -> None:
        """Stop reading ahead; what the stream is doing at the moment is waited for."""
        self._pieces.close()

    @property
    def sha256(self) -> str:
        """Of all compressed bytes; empty as long as the end was not reached."""
        return self._pieces.sha256

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes, or fewer at the end of the data."""
        found = bytes(self.view_some(count))
        if len(found) == count:
            return found
        parts = [found]
        missing = count - len(found)
        while missing and (view := self.view_some(missing)):
            parts.append(bytes(view))
            missing -= len(view)
        return b"".join(parts)

    def read_some(self, at_most: int) -> bytes:
        """Between 1 and `at_most` bytes; empty at the end of the data."""
        return bytes(self.view_some(at_most))

    def view_some(self, at_most: int) -> memoryview:
        """The same without a copy: it stays valid, and keeps up to a megabyte alive."""
        if not self._output and not self._inflate():
            return self._output
        found = self._output[:at_most]
        self._output = self._output[at_most:]
        return found

    def _inflate(self) -> bool:
        """Put the next piece of output in the buffer; False at the end of the last member."""
        while not self._output and not self._ended:
            if self._inflater is None:
                self._start_member()
            else:
                self._continue_member(self._inflater)
        return bool(self._output)

    def _fill(self) -> bool:
        """Take more input behind what is left of it; False when there is none."""
        piece = self._pieces.take()
        if not piece:
            return False
        self.size_bytes += len(piece)
        if self.size_bytes > self._max_size_bytes:
            what = f"the archive is larger than {self._max_size_bytes:,} bytes"
            raise self._findings.fatal("SIZE_COMPRESSED", what)
        if self._progress is not None:
            self._progress(self.size_bytes)
        self._input = self._input + piece if self._input else piece
        return True

    def _take(self, count: int) -> bytes:
        """Exactly `count` bytes of input, for headers and trailers."""
        while len(self._input) < count:
            if not self._fill():
                raise self._truncated()
        found, self._input = self._input[:count], self._input[count:]
        return found

    def _start_member(self) -> None:
        if not self._input and not self._fill():
            if self.size_bytes == 0:
                raise self._findings.fatal("EMPTY", "the object has 0 bytes")
            self._ended = True
            return
        while len(self._input) < 2 and self._fill():
            pass
        if self._input[:2] != b"\x1f\x8b":
            raise self._not_a_member()
        self._skip_header()
        self.members += 1
        if self.members > FREE_MEMBERS and self.size_bytes < self.members * MIN_BYTES_A_MEMBER:
            what = f"{self.members:,} gzip members in {self.size_bytes:,} bytes"
            raise self._findings.fatal("GZIP_MEMBERS", what)
        self._inflater = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)
        self._crc = self._member_bytes = 0

    def _not_a_member(self) -> Exception:
        if self.members:
            at = self.size_bytes - len(self._input)
            return self._findings.fatal("GZIP_TRAILING", f"bytes that are not gzip follow at {at:,}")
        start = self._input[:8]
        known = {b"PK": " (a zip file?)", b"BZ": " (bzip2?)", b"\xfd7": " (xz?)", b"\x28\xb5": " (zstd?)"}
        guess = known.get(start[:2], "")
        return self._findings.fatal("GZIP_NOT_GZIP", f"it starts with {start!r}{guess}, gzip starts with 1f 8b")

    def _skip_header(self) -> None:
        """RFC 1952, 2.3."""
        header = self._take(10)
        method, flags = header[2], header[3]
        if method != 8 or flags & _RESERVED:
            what = f"compression method {method}, flags {flags:#04x}; gzip has method 8 and three bits reserved as 0"
            raise self._findings.fatal("GZIP_HEADER", what)
        if flags & _EXTRA:
            length = self._take(2)
            header += length + self._take(int.from_bytes(length, "little"))
        for flag in (_NAME, _COMMENT):
            if flags & flag:
                header += self._take_text()
        if flags & _HEADER_CRC and int.from_bytes(self._take(2), "little") != isal_zlib.crc32(header) & 0xFFFF:
            raise self._findings.fatal("GZIP_HEADER", "the header's own checksum is wrong")

    def _take_text(self) -> bytes:
        """Up to and with the zero that ends it."""
        while (end := self._input.find(b"\0")) < 0:
            if len(self._input) > MAX_NAME_FIELD_BYTES:
                break
            if not self._fill():
                raise self._truncated()
        if not 0 <= end <= MAX_NAME_FIELD_BYTES:
            raise self._findings.fatal("GZIP_HEADER", f"a name or comment is over {MAX_NAME_FIELD_BYTES:,} bytes")
        return self._take(end + 1)

    def _continue_member(self, inflater: igzip_lib.IgzipDecompressor) -> None:
        if inflater.needs_input and not self._input and not self._fill():
            raise self._truncated()
        given, self._input = self._input, b""  # the inflater keeps what it does not use yet
        try:
            output = inflater.decompress(given, OUTPUT_BYTES)
        except igzip_lib.IsalError as error:  # type: ignore[misc]  # its stub declares the class as an instance
            what = f"the compressed data is wrong near byte {self.size_bytes:,}: {error}"
            raise self._findings.fatal("GZIP_CORRUPT", what) from None
        if not output and not inflater.eof and not inflater.needs_input:
            raise self._findings.fatal("GZIP_CORRUPT", f"the compressed data leads nowhere near {self.size_bytes:,}")
        self._output = memoryview(output)
        self._crc = isal_zlib.crc32(output, self._crc)
        self._member_bytes += len(output)
        self.uncompressed_bytes += len(output)
        self._refuse_a_bomb()
        if inflater.eof:
            self._input = inflater.unused_data
            self._check_trailer()

    def _refuse_a_bomb(self) -> None:
        if self.uncompressed_bytes > OUTPUT_PER_INPUT_LIMIT * self._max_size_bytes:
            what = f"more than {OUTPUT_PER_INPUT_LIMIT * self._max_size_bytes:,} bytes uncompressed"
            raise self._findings.fatal("SIZE_UNCOMPRESSED", what)
        # what was given to the inflater: it may be one piece ahead of what it used
        if self.uncompressed_bytes > RATIO_FROM_BYTES and self.uncompressed_bytes > MAX_RATIO * self.size_bytes:
            what = f"{self.size_bytes:,} bytes became {self.uncompressed_bytes:,}; allowed: {MAX_RATIO}:1"
            raise self._findings.fatal("SIZE_RATIO", what)

    def _check_trailer(self) -> None:
        trailer = self._take(8)
        crc, length = int.from_bytes(trailer[:4], "little"), int.from_bytes(trailer[4:], "little")
        if crc != self._crc:
            what = f"gzip member {self.members}: CRC32 is {self._crc:08x}, the trailer says {crc:08x}"
            raise self._findings.fatal("GZIP_CORRUPT", what)
        if length != self._member_bytes % 2**32:
            what = f"gzip member {self.members}: {self._member_bytes} bytes, the trailer says {length} (modulo 2^32)"
            raise self._findings.fatal("GZIP_CORRUPT", what)
        self._inflater = None

    def _truncated(self) -> Exception:
        return self._findings.fatal("GZIP_TRUNCATED", f"the stream ends after {self.size_bytes:,} bytes, in a member")
