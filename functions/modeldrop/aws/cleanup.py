"""Taking away what a release no longer needs: never what is live, never the previous good release."""

from __future__ import annotations

import json

from modeldrop.aws import endpoints, objects
from modeldrop.aws.releases import ReleaseTable
from modeldrop.policy.wire import policy_from_json
from modeldrop.release.observe import EndpointView
from modeldrop.release.record import ReleaseRecord
from modeldrop.release.rehearsal import rehearsal_name
from modeldrop.release.reports import rehearsal_key
from modeldrop.settings import settings


def end_rehearsal(record: ReleaseRecord) -> None:
    """Delete everything the rehearsal made; safe to call again. What is being created is left to the reconciler."""
    name = rehearsal_name(record.release)
    if endpoints.describe(name).status == "Creating":  # AWS refuses to delete it, and it still reads the rest
        return
    endpoints.delete_endpoint(name)
    endpoints.delete_config(name)
    endpoints.delete_model(name)
    objects.delete(settings().approved_bucket, rehearsal_key(record.release))


def in_use(release: str, seen: EndpointView) -> bool:
    """Say whether the endpoint serves this release, or may still come to."""
    return release in (seen.config, seen.pending_config) or seen.standing == "moving"


def retire_old_releases(table: ReleaseTable, record: ReleaseRecord) -> None:
    """Delete model and config of good releases beyond those the policy retains."""
    retain = max(2, policy_from_json(record.policy).retain)
    live = table.live(record.endpoint)
    old = [one for one in live.retained[retain:] if one not in (live.live, live.previous)]
    for release in old:
        endpoints.delete_config(release)
        endpoints.delete_model(release)
    table.forget_retained(record.endpoint, old)


def error_message(cause: str) -> str | None:
    """Return the message inside a Lambda error's cause, which is JSON; None when it is not one."""
    try:
        document = json.loads(cause)
    except ValueError:
        return None
    message = document.get("errorMessage") if isinstance(document, dict) else None
    return str(message) if message is not None else None
