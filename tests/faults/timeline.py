"""A virtual clock: what waits is put on a line of moments, and nothing sleeps."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

Call = Callable[[], None]


class EndedError(Exception):
    """The timeline is over; an actor that still waits ends with this."""


class Timeline:
    """The moments of one story, in unix seconds. One thing runs at a time, so every run is the same."""

    def __init__(self, start: float) -> None:
        self.now = start
        self.over = False
        self._line: list[tuple[float, int, Call]] = []
        self._numbers = itertools.count()
        self._back = threading.Semaphore(0)
        self._actors: dict[int, Actor] = {}

    def at(self, moment: float, call: Call) -> None:
        """Call something at a moment."""
        heapq.heappush(self._line, (max(moment, self.now), next(self._numbers), call))

    def after(self, seconds: float, call: Call) -> None:
        """Call something in so many seconds."""
        self.at(self.now + seconds, call)

    def run_until(self, done: Callable[[], bool], limit: float) -> bool:
        """Let time pass until something is so, at most until a moment; False when the limit came first.

        May be called from within a call: what goes on then goes on inside a call that has not returned yet.
        """
        while not done():
            if not self._line or self._line[0][0] > limit:
                self.now = max(self.now, limit)
                return done()
            moment, _, call = heapq.heappop(self._line)
            self.now = max(self.now, moment)
            call()
        return True

    def spawn(self, run: Call) -> None:
        """Run something that sleeps; it has a thread, but only one thread goes on at a time."""
        actor = Actor(self, run)
        self.after(0, actor.resume)

    def sleep(self, seconds: float) -> None:
        """Wait: an actor gives way to all else, anything else lets the clock jump."""
        actor = self._actors.get(threading.get_ident())
        if actor is None:
            self.now += seconds
        else:
            actor.sleep(seconds)

    def end(self) -> None:
        """End every actor that still waits."""
        self.over = True
        for actor in list(self._actors.values()):
            actor.resume()


class Actor:
    """Code that sleeps (a rollout of the local cloud), resumed by the timeline."""

    def __init__(self, timeline: Timeline, run: Call) -> None:
        self._timeline, self._run = timeline, run
        self._turn = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()
        timeline._actors[self._thread.ident or 0] = self

    def resume(self) -> None:
        """Let it go on until it sleeps again or ends."""
        if self._thread.is_alive():
            self._turn.release()
            self._timeline._back.acquire()

    def sleep(self, seconds: float) -> None:
        """Wait inside the actor."""
        self._timeline.after(seconds, self.resume)
        self._timeline._back.release()
        self._turn.acquire()
        if self._timeline.over:
            raise EndedError

    def _main(self) -> None:
        self._turn.acquire()
        try:
            if not self._timeline.over:
                self._run()
        except EndedError:
            pass
        finally:
            self._timeline._actors.pop(threading.get_ident(), None)
            self._timeline._back.release()


class VirtualTime:
    """Stands for the module `time` in code that is played on a timeline."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def time(self) -> float:
        return self._timeline.now

    def monotonic(self) -> float:
        return self._timeline.now

    def sleep(self, seconds: float) -> None:
        self._timeline.sleep(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


class VirtualThreading:
    """Stands for the module `threading`: a thread becomes an actor, an event's wait passes on the timeline."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def Thread(self, target: Callable[..., None], args: tuple[Any, ...] = (), **_named: Any) -> Any:  # noqa: N802 threading's own name
        timeline = self._timeline

        class Starter:
            def start(self) -> None:
                timeline.spawn(lambda: target(*args))

        return Starter()

    def __getattr__(self, name: str) -> Any:
        return getattr(threading, name)


class VirtualEvent:
    """An event whose wait passes on the timeline."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline, self._is_set = timeline, False

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, timeout: float) -> bool:
        if not self._is_set:
            self._timeline.sleep(timeout)
        return self._is_set
