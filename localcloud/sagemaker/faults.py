"""Switches that make hosting fail as AWS does: admin route `faults`."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

KINDS = ("no_capacity", "quota", "slow_start", "crash", "never_healthy", "wrong_ami")
DEFAULT_SECONDS = {"slow_start": 10.0, "never_healthy": 0.0}


@dataclass(frozen=True)
class Fault:
    """One switch. endpoint: lower-case name, or "" for every endpoint; seconds: what the kind makes of it.

    slow_start: how much later the container answers; never_healthy: after how long the start is given up (0: the
    variant's own ContainerStartupHealthCheckTimeoutInSeconds).
    """

    kind: str
    endpoint: str
    seconds: float


class Faults:
    """The switches that are on."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def set(self, body: dict[str, Any]) -> dict[str, Any]:
        """Admin route: {"kind", "endpoint"?, "seconds"?} adds one, {"kind": "none", "endpoint"?} clears.

        Answers with those that are on; raises ValueError for an unknown kind.
        """
        kind, endpoint = str(body["kind"]), str(body.get("endpoint") or "").lower()
        if kind not in (*KINDS, "none"):
            raise ValueError(f"unknown fault {kind!r}; there are {', '.join(KINDS)} and none")
        with self._lock:
            self._faults = (
                [f for f in self._faults if endpoint and f.endpoint != endpoint]
                if kind == "none"
                else [
                    *(f for f in self._faults if (f.kind, f.endpoint) != (kind, endpoint)),
                    Fault(kind, endpoint, float(body.get("seconds") or DEFAULT_SECONDS.get(kind, 0.0))),
                ]
            )
            return {"faults": [vars(fault) for fault in self._faults]}

    def find(self, endpoint: str, *kinds: str) -> Fault | None:
        """Return the first switch of one of the kinds that concerns an endpoint."""
        with self._lock:
            for fault in self._faults:
                if fault.kind in kinds and fault.endpoint in ("", endpoint.lower()):
                    return fault
        return None
