"""Every seed that fuzzing found goes through its reader at each run of the tests."""

import pytest

from tests.fuzz.corpus_files import DIRECTORY, seeds
from tests.fuzz.run import NAMES
from tests.fuzz.targets import TARGETS


def test_every_target_is_fuzzed() -> None:
    assert set(NAMES) == set(TARGETS)


@pytest.mark.parametrize("name", NAMES)
def test_the_seeds_are_read_or_refused_as_they_should_be(name: str) -> None:
    found = seeds(name)
    assert found
    for seed in found:
        TARGETS[name](seed)


def test_the_corpus_stays_small() -> None:
    assert sum(path.stat().st_size for path in DIRECTORY.iterdir()) < 100_000
