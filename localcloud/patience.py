"""How long a connection waits for the rest of a message whose sender has stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Patience:
    """Gives up on a peer that stops in the middle of a message; a message that comes whole starts no timer."""

    def __init__(self, seconds: float, give_up: Callable[[], None]) -> None:
        self._seconds, self._give_up = seconds, give_up
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._last = 0.0

    def renew(self) -> None:
        """Wait (again) the whole time: a part came, and the message is not whole."""
        self._last = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def end(self) -> None:
        """Wait no longer: the message is whole, or the connection is lost."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        left = self._last + self._seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
            return
        self._timer = None
        self._give_up()
