"""The outbox: when the outcome's message may be sent, so that it goes out once, at most twice, and never not at all.

SNS takes a message without a key that would make a second one harmless. So an attempt is counted before it is made, and
taken back only where SNS surely did not take the message. What is left counted is unknown: it may have been sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# of unknown result, in quick succession: one fault can spoil one
MAX_ATTEMPTS = 2
# after that, a long outage of SNS must still end in a message; a function lives 15 minutes at most
PAUSE_SECONDS = 900


@dataclass(frozen=True)
class Outbox:
    """A message that waits. attempts: begun, and not known to have failed. last: of them, seconds since 1970."""

    message: Mapping[str, str] = field(default_factory=dict)
    attempts: int = 0
    last: int = 0


def may_send(outbox: Outbox, now: int) -> bool:
    """Say whether the message may be sent now (seconds since 1970)."""
    return outbox.attempts < MAX_ATTEMPTS or now - outbox.last >= PAUSE_SECONDS
