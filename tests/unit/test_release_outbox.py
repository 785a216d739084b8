"""When a message may be sent: at most two attempts in a row whose result is not known, and never none for ever."""

from __future__ import annotations

import pytest

from modeldrop.release.outbox import MAX_ATTEMPTS, PAUSE_SECONDS, Outbox, may_send


@pytest.mark.parametrize(
    ("attempts", "since", "may"),
    [(0, 0, True), (1, 0, True), (2, 0, False), (2, 899, False), (2, 900, True), (9, 899, False), (9, 900, True)],
)
def test_a_third_attempt_waits_a_quarter_of_an_hour(attempts: int, since: int, may: bool) -> None:
    assert (MAX_ATTEMPTS, PAUSE_SECONDS) == (2, 900)
    assert may_send(Outbox({}, attempts, 1000), 1000 + since) == may
