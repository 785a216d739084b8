"""How the suites share the cores: each of the slow ones has a worker of its own, with its own local cloud."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent


# before xdist's own hook, which reads the groups
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a suite in one worker: its cloud and its stack are made once a session."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(item.path.relative_to(TESTS).parts[0]))
