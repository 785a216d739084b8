"""The shipped template and state machine, read as data."""

from __future__ import annotations

from typing import Any

import pytest

from scripts import translated

Document = dict[str, Any]


@pytest.fixture(scope="session")
def template() -> Document:
    """template.yaml as written."""
    return translated.raw()


@pytest.fixture(scope="session")
def stack() -> Document:
    """The template as CloudFormation sees it, with default parameters."""
    return translated.translated()


@pytest.fixture(scope="session")
def resources(stack: Document) -> Document:
    """The stack's resources by logical id."""
    return dict(stack["Resources"])


@pytest.fixture(scope="session")
def machine() -> Document:
    """statemachine/release.asl.json."""
    return translated.definition()


@pytest.fixture(scope="session")
def states(machine: Document) -> Document:
    """The machine's states by name."""
    return dict(machine["States"])
