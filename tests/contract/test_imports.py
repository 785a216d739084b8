"""What imports what: the arrows are held, nothing is locked in vain, no module that always exists is guarded."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
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
NOT_IMPORTED |= {"import-linter", "pip", "pytest-socket", "pytest-timeout", "ruff"}
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


# one fault of each kind, and what the gate says of it
SEEDED = {
    "functions/modeldrop/judge/seeded.py": (
        "import os\nfrom datetime import UTC, datetime\n\n"
        "import boto3\n\nfrom modeldrop import clock, settings\nfrom modeldrop.aws import objects\n\n"
        "HOME, NOW = os.environ, datetime.now(UTC)\n__all__ = ['boto3', 'clock', 'objects', 'settings']\n",
        ("modeldrop.judge.seeded -> os", "modeldrop.judge.seeded -> boto3", "modeldrop.judge.seeded -> modeldrop.clock",
         "modeldrop.judge.seeded -> modeldrop.aws", "modeldrop.judge.seeded -> modeldrop.settings",
         "`os.environ` is banned", "`datetime.datetime.now` is banned"),
    ),
    "functions/modeldrop/aws/seeded.py": (
        "from cli import console\nfrom localcloud import core\n",
        ("modeldrop.aws.seeded -> cli", "modeldrop.aws.seeded -> localcloud"),
    ),
    "functions/modeldrop/handlers/seeded.py": ("import boto3\n", ("modeldrop.handlers.seeded -> boto3",)),
    "localcloud/seeded.py": (
        "from cli import console\nfrom modeldrop import errors\n",
        ("localcloud.seeded -> cli", "localcloud.seeded -> modeldrop"),
    ),
    "localcloud/sagemaker/routing.py": ("from localcloud.sagemaker import hosting\n", ("localcloud.sagemaker",)),
    "cli/commands/steering.py": ("from cli.commands import doctor\n", ()),
    "cli/commands/doctor.py": ("from cli.commands import steering\n", ("No cycles are allowed in cli.commands",)),
    "benchmarks/judge/cells.py": (
        "from benchmarks.judge import run\n", ("No cycles are allowed in benchmarks.judge",)
    ),
}  # fmt: skip


def said_by_the_gates(directory: Path) -> tuple[bool, str]:
    """Whether the gates of `make lint` keep the imports below a directory, and what they say."""
    here = Path(sys.executable).parent
    given = {**os.environ, "PYTHONPATH": f"{directory}:{directory / 'functions'}", "COLUMNS": "200"}
    commands = (
        ["lint-imports", "--no-logo", "--no-cache"],
        ["ruff", "check", "--no-cache", "--select", "TID251", "--output-format", "concise", "."],
    )
    done = [
        subprocess.run([here / name, *options], cwd=directory, env=given, text=True, capture_output=True)
        for name, *options in commands
    ]
    return all(one.returncode == 0 for one in done), "".join(one.stdout + one.stderr for one in done)


def test_every_arrow_that_is_drawn_the_wrong_way_fails_the_gate(tmp_path: Path) -> None:
    for room in SHIPPED:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    kept, said = said_by_the_gates(tmp_path)
    assert kept, said
    for path, (lines, _) in SEEDED.items():
        with (tmp_path / path).open("a") as file:
            file.write(lines)
    kept, said = said_by_the_gates(tmp_path)
    assert not kept
    assert [text for _, texts in SEEDED.values() for text in texts if text not in said] == [], said


def test_the_gate_is_part_of_make_lint() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    assert "lint-imports" in recipe
    assert "ruff check" in recipe
