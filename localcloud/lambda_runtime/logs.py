"""What functions write, put into CloudWatch Logs."""

from __future__ import annotations

import time
from typing import Any

from localcloud.lambda_runtime.environment import Outcome
from localcloud.lambda_runtime.metrics import count_invocation, put_embedded


def write_log(function: Any, outcome: Outcome) -> None:
    """Put what an event wrote into the function's log group, a line an event, and its metrics into CloudWatch."""
    count_invocation(function, outcome)
    put_embedded(outcome.log)
    group = (getattr(function, "logging_config", None) or {}).get("LogGroup") or function.logs_group_name
    backend = function.logs_backend
    backend.ensure_log_group(group)
    if outcome.log_stream not in backend.groups[group].streams:
        backend.create_log_stream(group, outcome.log_stream)
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": line} for line in outcome.log.splitlines() if line]
    backend.put_log_events(group, outcome.log_stream, events)
