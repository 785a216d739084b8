"""What imports what: nothing that is locked in vain, no guard of a module that always exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHIPPED = ("functions", "cli", "localcloud", "model", "scripts", "benchmarks")
IMPORT = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)
GUARD = re.compile(r"find_spec\(|except \(?(?:ImportError|ModuleNotFoundError)")
# what may be missing: a wheel has no TensorFlow, nobody need sign, and two scripts have an environment of their own
MAY_BE_MISSING = {"cli/answers.py", "model/sign.py", "scripts/make_image_table.py", "benchmarks/judge/plots.py"}
# where a module's name is not its package's
MODULES = {"aws-sam-translator": "samtranslator", "jsonata-python": "jsonata", "protobuf": "google", "pyyaml": "yaml"}
MODULES |= {"tensorflow-cpu": "tensorflow", "tensorflow-protobuf": "tensorflow"}
# commands, plugins, types, and what makes the editable install
NOT_IMPORTED = {"aws-sam-cli", "awslambdaric", "boto3-stubs", "cfn-lint", "coverage", "editables", "hatchling", "mypy"}
NOT_IMPORTED |= {"pip", "pytest-socket", "pytest-timeout", "ruff"}
NOT_IMPORTED |= {"types-jsonschema", "types-pyyaml", "types-protobuf"}


def texts(*rooms: str) -> Iterator[tuple[str, str]]:
    """Every file of some rooms: its path and its text."""
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text()


def wanted(path: Path) -> set[str]:
    """The packages that a requirements file asks for by name."""
    lines = [line for line in path.read_text().splitlines() if re.match(r"[a-zA-Z]", line)]
    return {re.split(r"[\[<>=~ ]", line)[0].lower() for line in lines}


def test_what_is_locked_for_development_is_used() -> None:
    imported = {module for _, text in texts(*SHIPPED, "tests") for module in IMPORT.findall(text)}
    asked = wanted(ROOT / "requirements" / "dev.in") | wanted(ROOT / "functions" / "requirements.in")
    unused = {package for package in asked if MODULES.get(package, package.replace("-", "_")) not in imported}
    assert unused == NOT_IMPORTED


def test_only_what_may_be_missing_is_guarded() -> None:
    assert {path for path, text in texts(*SHIPPED) if GUARD.search(text)} == MAY_BE_MISSING
