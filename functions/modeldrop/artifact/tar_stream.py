"""A forward-only tar reader (ustar, pax, GNU long names) that refuses everything extractors disagree on."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from modeldrop.artifact.findings import Findings
from modeldrop.artifact.gzip_stream import GzipReader

BLOCK = 512
START_BYTES = 4
ZEROS = bytes(BLOCK)
MAX_ENTRIES = 10_000
MAX_HEADERS = 3 * MAX_ENTRIES  # each entry may bring extended headers of its own
MAX_PAX_BYTES = 64 * 1024
MAX_LONG_NAME_BYTES = 4 * 1024
MAX_COMPONENT_BYTES = 255
MAX_DEPTH = 16
MAX_NAMES_BYTES = 1024 * 1024  # of all names together: what the duplicate check may remember
MAX_PADDING_BYTES = 1024 * 1024  # zeros after the end mark; GNU tar fills up to 10 KiB
EIGHT_GIB = 8 * 1024**3  # from here on the octal size field is too small, and pax gives the size

_LINKS = {b"1": "hard link", b"2": "symbolic link", b"K": "link with a long name"}
_DEVICES = {b"3": "character device", b"4": "block device", b"6": "named pipe"}
_FILES = (b"0", b"\0", b"7")
# what a header holds as numbers beside size and checksum; 0xFF begins a negative one, such as a time before 1970
_NUMBERS = {
    "mode": slice(100, 108),
    "owner": slice(108, 116),
    "group": slice(116, 124),
    "time": slice(136, 148),
    "major device number": slice(329, 337),
    "minor device number": slice(337, 345),
}


class Member:
    """A file or directory; `read_some` gives a file's content once, in order."""

    def __init__(self, source: GzipReader, path: str, *, is_file: bool, size: int) -> None:
        self._source = source
        self._left = size
        self.path = path
        self.is_file = is_file
        self.size = size
        # also sees what is skipped: a digest must cover the whole file
        self.tap: Callable[[bytes], object] | None = None
        # its first bytes, whoever read or skipped them
        self.start = b""

    def read_some(self, at_most: int) -> bytes:
        """Between 1 and `at_most` bytes; empty at the end. The archive's own end is noticed by the reader."""
        found = self._source.read_some(min(at_most, self._left)) if self._left else b""
        return self._took(found)

    def view_some(self, at_most: int) -> memoryview:
        """The same without a copy: up to a megabyte, which lives as long as the view does."""
        found = self._source.view_some(min(at_most, self._left)) if self._left else memoryview(b"")
        self._left -= len(found)
        self._began(found)
        return found

    def read(self, at_most: int) -> bytes:
        """`at_most` bytes, fewer only at the end."""
        found = self._source.read(min(at_most, self._left))
        return self._took(found)

    def _took(self, found: bytes) -> bytes:
        self._left -= len(found)
        self._began(found)
        if self.tap is not None:
            self.tap(found)
        return found

    def _began(self, found: bytes | memoryview) -> None:
        if len(self.start) < START_BYTES:
            self.start += bytes(found[: START_BYTES - len(self.start)])

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return self._left


@dataclass
class _Extended:
    """What extended headers said of the next member."""

    path: str | None = None
    size: int | None = None
    long_name: str | None = None
    pending: bool = False


class TarReader:
    """Iterate over the members of a tar archive; rule violations go to the findings, a broken archive is fatal."""

    def __init__(self, source: GzipReader, findings: Findings) -> None:
        self._source = source
        self._findings = findings
        self._names = _Names(findings)
        self._headers = 0
        self.entries = 0

    def members(self) -> Iterator[Member]:
        """Every good member in order; a refused one is skipped. The caller need not read a member to its end."""
        extended = _Extended()
        while (header := self._next_header()) is not None:
            kind, size = header[156:157], self._size(header, extended)
            if kind in (b"x", b"g", b"L"):
                self._read_extended(kind, header, extended)
                continue
            path = self._path(header, extended)
            extended = _Extended()
            self.entries += 1
            if self.entries > MAX_ENTRIES:
                raise self._findings.fatal("TAR_ENTRIES", f"more than {MAX_ENTRIES:,} entries")
            content = Member(self._source, path, is_file=True, size=size)
            member = self._accept(kind, path, size, content)
            if member is not None:
                yield member
            self._skip(content)
        if extended.pending:
            raise self._findings.fatal("TAR_HEADER", "an extended header has no member after it")

    def _next_header(self) -> bytes | None:
        """The next header block, or None after the two zero blocks that end an archive."""
        header = self._source.read(BLOCK)
        if header == ZEROS:
            self._finish()
            return None
        if len(header) < BLOCK:
            if self._headers == 0:
                raise self._findings.fatal("TAR_NOT_TAR", f"the content has {len(header)} bytes, a tar 1,024 or more")
            raise self._findings.fatal("TAR_TRUNCATED", f"the end mark is missing after {self.entries} entries")
        self._check_header(header)
        self._headers += 1
        if self._headers > MAX_HEADERS:
            raise self._findings.fatal("TAR_ENTRIES", f"more than {MAX_HEADERS:,} headers")
        return header

    def _check_header(self, header: bytes) -> None:
        computed = sum(header) - sum(header[148:156]) + 8 * 32
        if _number(header[148:156]) != computed:
            if self._headers == 0:
                raise self._findings.fatal("TAR_NOT_TAR", f"no tar header at its start: {header[:16]!r}")
            raise self._findings.fatal("TAR_HEADER", f"wrong checksum in the header after {self.entries} entries")
        if header[257:263] not in (b"ustar\0", b"ustar ", bytes(6)):
            raise self._findings.fatal("TAR_HEADER", f"unknown kind of tar {header[257:265]!r}")
        if header[257:263] != b"ustar\0" and header[345:500].strip(b"\0"):
            what = "an old header has bytes where a newer one has the start of the name: readers see different names"
            raise self._findings.fatal("TAR_HEADER", what)
        for name, field in _NUMBERS.items():  # other readers stop at such a header, or guess
            if _number(header[field]) is None and header[field.start] != 0xFF:
                raise self._findings.fatal("TAR_HEADER", f"the {name} is not a number: {header[field]!r}")

    def _finish(self) -> None:
        second = self._source.read(BLOCK)
        if len(second) < BLOCK:
            raise self._findings.fatal("TAR_TRUNCATED", "half of the end mark is missing")
        padding = 0
        piece = second
        while piece:
            if piece.count(0) != len(piece):
                raise self._findings.fatal("TAR_TRAILING", "data after the end mark")
            padding += len(piece)
            if padding > MAX_PADDING_BYTES:
                raise self._findings.fatal("TAR_TRAILING", f"more than {MAX_PADDING_BYTES:,} zeros after the end mark")
            piece = self._source.read_some(64 * 1024)

    def _size(self, header: bytes, extended: _Extended) -> int:
        size = _number(header[124:136])
        if size is None:
            raise self._findings.fatal("TAR_HEADER", f"size {header[124:136]!r} is not a number")
        if extended.size is None or header[156:157] in (b"x", b"g", b"L"):
            return size
        if extended.size != size and extended.size < EIGHT_GIB:
            raise self._findings.fatal("TAR_PAX", f"size is {size} in the header and {extended.size} in its extension")
        return extended.size

    def _read_extended(self, kind: bytes, header: bytes, extended: _Extended) -> None:
        size = _number(header[124:136]) or 0
        limit = MAX_LONG_NAME_BYTES if kind == b"L" else MAX_PAX_BYTES
        if size > limit:
            raise self._findings.fatal("TAR_PAX", f"an extended header of {size:,} bytes; allowed: {limit:,}")
        padded = self._source.read(_padded(size))
        if len(padded) < _padded(size):
            raise self._findings.fatal("TAR_TRUNCATED", "the archive ends in an extended header")
        content = padded[:size]
        extended.pending = kind != b"g"
        if kind == b"L":
            if extended.long_name is not None:
                raise self._findings.fatal("TAR_PAX", "two long names for one member")
            extended.long_name = self._text(content.removesuffix(b"\0"))
        else:
            self._read_pax(content, extended, for_all=kind == b"g")

    def _read_pax(self, content: bytes, extended: _Extended, *, for_all: bool) -> None:
        for key, value in self._pax_records(content):
            if key not in (b"path", b"size", b"linkpath") and not key.startswith((b"GNU.sparse", b"hdrcharset")):
                continue  # times, owners and attributes change nothing that we serve
            if for_all or key not in (b"path", b"size"):
                raise self._findings.fatal("TAR_PAX", f"an extended header sets {key!r:.60}", "global" * for_all)
            if key == b"path":
                if extended.path is not None:
                    raise self._findings.fatal("TAR_PAX", "two extended names for one member")
                extended.path = self._text(value)
            else:
                if not value.isdigit() or len(value) > 19 or extended.size is not None:
                    raise self._findings.fatal("TAR_PAX", f"size {value!r:.60} in an extended header")
                extended.size = int(value)

    def _pax_records(self, content: bytes) -> Iterator[tuple[bytes, bytes]]:
        """`LENGTH KEY=VALUE\\n`, the length counting the whole record."""
        while content:
            digits, blank, _ = content.partition(b" ")
            length = int(digits) if digits.isdigit() and len(digits) <= 6 else 0
            record = content[len(digits) + 1 : length]
            key, equals, value = record.removesuffix(b"\n").partition(b"=")
            if not blank or not equals or length > len(content) or not record.endswith(b"\n"):
                raise self._findings.fatal("TAR_PAX", f"a malformed extended record {content[:32]!r}")
            yield key, value
            content = content[length:]

    def _path(self, header: bytes, extended: _Extended) -> str:
        if extended.path is not None and extended.long_name is not None:
            raise self._findings.fatal("TAR_PAX", "a pax name and a GNU long name for one member", extended.path)
        given = extended.path if extended.path is not None else extended.long_name
        if given is not None:
            return given
        name = header[:100].partition(b"\0")[0]
        prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
        return self._text(prefix + b"/" + name if prefix else name)

    def _text(self, name: bytes) -> str:
        try:
            return name.decode("utf-8")
        except UnicodeDecodeError:
            self._findings.add("TAR_NAME", "a name is not UTF-8", repr(name)[2:-1])
            return name.decode("utf-8", "backslashreplace").replace("\\", "_")

    def _accept(self, kind: bytes, path: str, size: int, content: Member) -> Member | None:
        """The member as the caller may see it, or None with a finding."""
        if kind in _LINKS:
            self._findings.add("TAR_LINK", f"a {_LINKS[kind]}", path)
        elif kind in _DEVICES:
            self._findings.add("TAR_DEVICE", f"a {_DEVICES[kind]}", path)
        elif kind not in (*_FILES, b"5"):
            self._findings.add("TAR_TYPE", f"member type {kind!r}", path)
        elif self._names.accept(path, is_directory := kind == b"5" or path.endswith("/")):
            if is_directory and size:
                self._findings.add("TAR_HEADER", f"a directory with {size} bytes of content", path)
            elif is_directory:
                return Member(self._source, _clean(path), is_file=False, size=0)
            else:
                content.path = _clean(path)
                return content
        return None

    def _skip(self, content: Member) -> None:
        """Read over what is left of a member and its padding."""
        left = content.left + _padded(content.size) - content.size
        while left:
            piece: bytes | memoryview
            if content.left:
                piece = content.read_some(left) if content.tap else content.view_some(left)
            else:
                piece = self._source.view_some(left)
            if not piece:
                what = f"the archive ends {left:,} bytes before the end of a member"
                raise self._findings.fatal("TAR_TRUNCATED", what, content.path)
            left -= len(piece)


class _Names:
    """Which names were seen, also the directories they imply, folded so that lookalikes collide."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._exact: dict[str, str] = {}
        self._files: set[str] = set()
        self._parents: set[str] = set()
        self._given: set[str] = set()
        self._bytes = 0

    def accept(self, path: str, is_directory: bool) -> bool:
        """Whether the name is safe and new; a finding says why not."""
        self._bytes += len(path.encode())
        if self._bytes > MAX_NAMES_BYTES:
            raise self._findings.fatal("TAR_ENTRIES", f"more than {MAX_NAMES_BYTES:,} bytes of names")
        problem = _name_problem(path)
        if problem:
            self._findings.add(*problem, path)
            return False
        clean = _clean(path)
        if not clean:  # the root itself, `./`
            return is_directory or self._refuse("TAR_NAME", "a file without a name", path)
        parts = clean.split("/")
        for depth in range(1, len(parts) + 1):
            part = "/".join(parts[:depth])
            folded = _folded(part)
            if self._exact.setdefault(folded, part) != part:
                return self._refuse("TAR_DUPLICATE", f"its name is another form of {self._exact[folded]!a:.100}", path)
            if depth < len(parts) and folded in self._files:
                return self._refuse("TAR_FILE_AS_DIRECTORY", "a part of its name is a file", path)
        if folded in self._given:
            return self._refuse("TAR_DUPLICATE", "the name is there twice", path)
        self._given.add(folded)
        if not is_directory:
            self._files.add(folded)
            if folded in self._parents:
                return self._refuse("TAR_FILE_AS_DIRECTORY", "a file where other members need a directory", path)
        self._parents.update(_folded("/".join(parts[:depth])) for depth in range(1, len(parts)))
        return True

    def _refuse(self, code: str, what: str, path: str) -> bool:
        self._findings.add(code, what, path)
        return False


def _name_problem(path: str) -> tuple[str, str] | None:
    if path.startswith("/"):
        return "TAR_ABSOLUTE", "an absolute name"
    parts = path.removesuffix("/").split("/")
    if ".." in parts:
        return "TAR_ESCAPE", "a name with .. leaves the directory"
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or c == "\\" for c in path):
        return "TAR_NAME", "a control or formatting character or a backslash in a name"
    if not path or any(part == "" or (part == "." and place) for place, part in enumerate(parts)):
        return "TAR_NAME", "an empty part in a name"
    if any(len(part.encode()) > MAX_COMPONENT_BYTES for part in parts):
        return "TAR_NAME", f"a part of a name has more than {MAX_COMPONENT_BYTES} bytes"
    if len(parts) > MAX_DEPTH:
        return "TAR_NAME", f"a name with {len(parts)} parts; allowed: {MAX_DEPTH}"
    return None


def _clean(path: str) -> str:
    """Without a leading `./` and a closing `/`; the root is empty."""
    stripped = path.removesuffix("/")
    return "" if stripped == "." else stripped.removeprefix("./")


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _number(field: bytes) -> int | None:
    """Octal digits, or GNU's base 256; None when it is neither."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not digits:
        return 0
    return int(digits, 8) if all(0x30 <= digit <= 0x37 for digit in digits) else None


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
