"""Lint the template as written and as CloudFormation sees it, and the state machine (`make lint` runs it)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from cfnlint.api import lint as cfn_lint
from statelint.linter import Linter

from scripts.translated import ROOT, TEMPLATE, definition, translated

# statelint's rules that are wrong for us: pattern of its message, and why it is wrong
STATELINT_MISTAKES = {
    re.compile(r'Seconds is "\{% .* %\}" but should be an Integer$'): "JSONata may compute a Wait's Seconds (ASL spec)",
}


def template_as_written() -> Iterator[str]:
    """Run cfn-lint on template.yaml."""
    for match in cfn_lint(TEMPLATE.read_text()):
        yield f"{TEMPLATE.name}:{match.linenumber}: {match.rule.id} {match.message}"


def template_translated() -> Iterator[str]:
    """Run cfn-lint on the translated template: only there it sees roles, policies and the definition."""
    for match in cfn_lint(json.dumps(translated(), indent=1)):
        yield f"translated template, {'/'.join(str(part) for part in match.path)}: {match.rule.id} {match.message}"


def state_machine() -> Iterator[str]:
    """Run statelint on the definition."""
    for problem in Linter.validate(definition()):
        if not any(mistake.search(problem) for mistake in STATELINT_MISTAKES):
            yield f"release.asl.json: {problem.strip()}"


def sam_validate() -> subprocess.Popen[str]:
    """Start `sam validate --lint`, as a user would run it; it takes as long as the other linters together."""
    sam = shutil.which("sam", path=str(Path(sys.executable).parent))
    if sam is None:
        raise SystemExit("sam is not installed next to this Python: run `make setup`")
    asked = [sam, "validate", "--lint", "--region", "us-east-1", "--template-file", str(TEMPLATE)]
    return subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)


def main() -> int:
    """Print what each linter finds; 1 when there is anything."""
    with sam_validate() as sam:
        found = [
            problem for linter in (template_as_written, template_translated, state_machine) for problem in linter()
        ]
        said, _ = sam.communicate()
    if sam.returncode:
        found.append(f"sam validate --lint: {said.strip()}")
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
