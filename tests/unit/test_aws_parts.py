"""An object read by ranged requests: order, bounds, and what a broken part costs."""

import threading
from random import Random

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError

from modeldrop.aws import parts
from modeldrop.aws.parts import ATTEMPTS, IN_FLIGHT, PartsReader

CONTENT = Random(5).randbytes(1000)


class Store:
    """Answers ranges of CONTENT, after the errors it was given for a range's first byte; notes what was asked."""

    def __init__(self, errors: dict[int, list[Exception | int]] | None = None) -> None:
        self.errors = errors or {}
        self.asked: list[int] = []

    def fetch(self, first: int, last: int) -> bytes:
        self.asked.append(first)
        queue = self.errors.get(first, [])
        problem = queue.pop(0) if queue else last + 1
        if isinstance(problem, Exception):
            raise problem
        return CONTENT[first : min(problem, last + 1)]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 64)
    monkeypatch.setattr(parts, "FIRST_PAUSE_SECONDS", 0.001)


def read_all(store: Store, size: int = len(CONTENT)) -> bytes:
    with PartsReader(store.fetch, size) as stream:
        return b"".join(iter(lambda: stream.read(50), b""))


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 128, 1000])
def test_every_byte_comes_once_and_in_order(size: int) -> None:
    store = Store()
    assert read_all(store, size) == CONTENT[:size]
    assert sorted(store.asked) == list(range(0, size, 64))


def test_no_more_parts_are_asked_for_than_may_be_in_memory() -> None:
    store = Store()
    with PartsReader(store.fetch, len(CONTENT)) as stream:
        assert stream.read(1)
    assert len(store.asked) <= IN_FLIGHT + 1


@pytest.mark.parametrize("problem", [ReadTimeoutError(endpoint_url="s3"), 70, ClientError({}, "GetObject")])
def test_a_part_that_fails_is_asked_for_again(problem: Exception | int) -> None:
    if isinstance(problem, ClientError):
        problem.response = {"Error": {"Code": "SlowDown"}}
    store = Store({64: [problem, problem]})
    assert read_all(store) == CONTENT
    assert store.asked.count(64) == 3


def test_a_part_that_never_comes_whole_ends_the_reading() -> None:
    store = Store({128: [130] * ATTEMPTS})
    with pytest.raises(IncompleteReadError, match="2"):
        read_all(store)
    assert store.asked.count(128) == ATTEMPTS


def test_a_changed_object_is_not_asked_for_again() -> None:
    changed = ClientError({"Error": {"Code": "PreconditionFailed"}}, "GetObject")
    store = Store({64: [changed]})
    with pytest.raises(ClientError, match="PreconditionFailed"):
        read_all(store)
    assert store.asked.count(64) == 1


def test_closing_leaves_no_thread() -> None:
    before = threading.active_count()
    with PartsReader(Store().fetch, len(CONTENT)) as stream:
        stream.read(10)
    assert threading.active_count() == before
