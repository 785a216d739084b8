"""The end of a container's log, for the person who has to mend the model."""

from __future__ import annotations

from collections import deque
from typing import Any

from botocore.exceptions import ClientError

from modeldrop.aws import clients
from modeldrop.aws.failures import code

# a container that does not start says so early; one that floods its log is cut
MAX_LINES = 2_000
SHOWN_LINES = 400
# an event may have a megabyte
MAX_LINE_CHARACTERS = 8_192


def container_tail(endpoint: str) -> str:
    """Return the last lines that an endpoint's container wrote, oldest first; empty where it wrote none."""
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    asked: Any = {"logGroupName": group, "PaginationConfig": {"MaxItems": MAX_LINES}}
    pages = clients.logs().get_paginator("filter_log_events")
    try:
        said = (event["message"][:MAX_LINE_CHARACTERS] for page in pages.paginate(**asked) for event in page["events"])
        last = deque(said, maxlen=SHOWN_LINES)
    except ClientError as error:
        if code(error) == "ResourceNotFoundException":
            return ""
        raise
    return "\n".join(line.rstrip() for line in last)
