"""Golden requests asked of an endpoint: what the container failed once is asked once more, a wrong answer is not."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from modeldrop.artifact.golden import GoldenRequest
from modeldrop.aws import golden

RIGHT, WRONG = (200, b'{"predictions": [1.0]}'), (200, b'{"predictions": [0.0]}')
SLOWLY_FAILED, SLOWLY_RIGHT = (500, b"out of memory"), (200, b'{"predictions": [1.00]}')
FAILED, SILENT, REFUSED = (503, b"starting"), (0, b"timed out"), (400, b"no such input")
SECONDS = {SLOWLY_FAILED[1]: 37, SLOWLY_RIGHT[1]: 30, b"timed out": 60}
ONE = GoldenRequest({"instances": [1]}, {"predictions": [1.0]})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bytes]]:
    """Give the endpoint these answers, one after the other; the clock moves by what each takes."""
    answers: list[tuple[int, bytes]] = []
    clock = SimpleNamespace(now=0.0)

    def invoke(_endpoint: str, _body: bytes) -> tuple[int, bytes]:
        status, body = answers.pop(0)
        clock.now += SECONDS.get(body, 0.01)
        return status, body

    def sleep(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(golden.endpoints, "invoke", invoke)
    monkeypatch.setattr(golden, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    return answers


def given(asked: list[tuple[int, bytes]], answers: Sequence[tuple[int, bytes]]) -> str | None:
    asked.extend(answers)
    return golden.first_wrong_answer("sentiment", [ONE, ONE])


def test_a_container_that_fails_once_is_asked_once_more(asked: list[tuple[int, bytes]]) -> None:
    assert given(asked, [FAILED, RIGHT, RIGHT]) is None
    assert not asked


@pytest.mark.parametrize(
    ("answers", "left"), [([FAILED, FAILED, RIGHT], 1), ([REFUSED, RIGHT], 1), ([WRONG, RIGHT], 1)]
)
def test_what_fails_again_or_is_refused_or_wrong_counts(
    asked: list[tuple[int, bytes]], answers: list[tuple[int, bytes]], left: int
) -> None:
    told = given(asked, answers)
    assert told is not None
    assert told.startswith("golden request 1 ")
    assert len(asked) == left


def test_there_is_no_second_asking_without_the_time_for_it(asked: list[tuple[int, bytes]]) -> None:
    assert given(asked, [SILENT, RIGHT]) is not None
    assert len(asked) == 1


def test_after_a_slow_failure_there_is_no_time_to_ask_the_warm_one(asked: list[tuple[int, bytes]]) -> None:
    asked.extend([SLOWLY_FAILED, SLOWLY_RIGHT, RIGHT])
    answers = golden.ask("sentiment", [ONE])
    assert (answers.problem, answers.warm_ms) == ("", None)
    assert asked == [RIGHT]


def test_one_request_is_asked_again_for_the_warm_time(asked: list[tuple[int, bytes]]) -> None:
    asked.extend([RIGHT, RIGHT])
    assert golden.ask("sentiment", [ONE]).warm_ms is not None
    assert not asked
