"""The compressed bytes of an artifact, read and hashed in a thread ahead of the inflater.

Reading, SHA-256 and inflating all release the interpreter's lock, so on two cores the inflater alone sets the pace.
"""

from __future__ import annotations

import hashlib
from queue import Queue
from threading import Event, Thread
from typing import BinaryIO

PIECE_BYTES = 256 * 1024
PIECES_AHEAD = 16


class HashedPieces:
    """Pieces of exactly PIECE_BYTES, the last one shorter, in order; so where a piece ends never depends on the stream.

    A stream that fits into one piece needs no thread.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._ready: Queue[bytes | Exception] = Queue(PIECES_AHEAD)
        self._closed = Event()
        self._thread: Thread | None = None
        self._ended = False

    @property
    def sha256(self) -> str:
        """Of all bytes; empty as long as the end was not taken."""
        return self._digest.hexdigest() if self._ended else ""

    def take(self) -> bytes:
        """The next piece, empty at the end; what the stream raised is raised here."""
        if self._ended:
            return b""
        if self._thread is None:
            piece = self._read()
            if len(piece) == PIECE_BYTES:
                self._thread = Thread(target=self._run, name="artifact", daemon=True)
                self._thread.start()
        else:
            ready = self._ready.get()
            if isinstance(ready, Exception):
                raise ready
            piece = ready
        self._ended = len(piece) < PIECE_BYTES
        return piece

    def close(self) -> None:
        """Stop the thread, so that the stream can be closed."""
        self._closed.set()
        while self._thread is not None and self._thread.is_alive():
            while not self._ready.empty():
                self._ready.get()
            self._thread.join(timeout=0.01)

    def _run(self) -> None:
        piece = bytes(PIECE_BYTES)
        while len(piece) == PIECE_BYTES and not self._closed.is_set():
            try:
                piece = self._read()
            except Exception as error:  # it belongs to who takes the pieces
                self._ready.put(error)
                return
            self._ready.put(piece)

    def _read(self) -> bytes:
        parts: list[bytes] = []
        missing = PIECE_BYTES
        while missing and (part := self._stream.read(missing)):
            parts.append(part)
            missing -= len(part)
        piece = b"".join(parts)
        self._digest.update(piece)
        return piece
