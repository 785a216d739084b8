"""A large object read by ranged requests: a few in flight, given out in order, a failed part asked for again."""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from botocore.exceptions import IncompleteReadError

from modeldrop.aws.failures import is_transient

PART_BYTES = 8 * 1024 * 1024
IN_FLIGHT = 4
ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.2


class PartsReader(io.RawIOBase):
    """A forward-only file over `fetch(first, last)`, which answers the bytes of an inclusive range.

    At most IN_FLIGHT parts and the one being read are in memory. A body that breaks off is not boto3's to retry, so a
    part is asked for again here; what still fails after ATTEMPTS is raised to the reader.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size_bytes: int) -> None:
        self._fetch = fetch
        self._size_bytes = size_bytes
        self._asked = 0
        self._part = memoryview(b"")
        self._flying: deque[Future[bytes]] = deque()
        self._pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="part")

    def read(self, count: int = -1) -> bytes:
        """Up to `count` bytes, fewer where a part ends; empty at the end of the object."""
        if not self._part:
            self._ask()
            if not self._flying:
                return b""
            self._part = memoryview(self._flying.popleft().result())
            self._ask()
        count = len(self._part) if count < 0 else count
        found = bytes(self._part[:count])
        self._part = self._part[count:]
        return found

    def close(self) -> None:
        """Ask for nothing more, and wait for what is on its way."""
        self._pool.shutdown(cancel_futures=True)
        self._flying.clear()
        super().close()

    def _ask(self) -> None:
        while len(self._flying) < IN_FLIGHT and self._asked < self._size_bytes:
            last = min(self._asked + PART_BYTES, self._size_bytes) - 1
            self._flying.append(self._pool.submit(self._get, self._asked, last))
            self._asked = last + 1

    def _get(self, first: int, last: int) -> bytes:
        expected = last - first + 1
        for attempt in range(ATTEMPTS):
            try:
                found = self._fetch(first, last)
                if len(found) != expected:
                    raise IncompleteReadError(actual_bytes=len(found), expected_bytes=expected)
                return found
            except Exception as error:
                if attempt + 1 == ATTEMPTS or not is_transient(error):
                    raise
            time.sleep(FIRST_PAUSE_SECONDS * 2**attempt)
        raise AssertionError("the last attempt returns or raises")
