"""Several steps add to the documents of a record, so none of them writes one whole over another's part."""

from __future__ import annotations

import ast

import pytest

from modeldrop.aws.releases import GROWING
from tests.contract.call_graph import PACKAGE


def blind_writes(code: str) -> list[str]:
    """The documents that code writes by `update`, which asks for nothing of what is there."""
    return [
        keyword.arg
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "update"
        for keyword in node.keywords
        if keyword.arg in GROWING
    ]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_document_that_grows_is_written_by_change_only(path):
    assert blind_writes(path.read_text()) == []


def test_a_blind_write_is_seen():
    assert blind_writes("table.update(record.endpoint, record.release, phase='x', rollout={})") == ["rollout"]
