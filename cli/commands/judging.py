"""`modeldrop judge replay`: what the judge says to bins that were written down."""

from __future__ import annotations

import glob
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands.artifacts import default_policy, read_policy
from cli.console import say
from cli.failures import ANSWER_IS_NO, BROKEN, USAGE, CommandError
from cli.options import AsJson

if TYPE_CHECKING:
    from modeldrop.judge.verdict import Verdict
    from modeldrop.policy.model import Policy

app = typer.Typer(help="The judge, away from any cloud.", no_args_is_help=True)
STDIN = "-"
# eight hours of 10 s bins are under 1 MB
MAX_BYTES = 16 * 1024 * 1024
# a release's golden requests lie beside its bins
NOT_BINS = frozenset({"golden.jsonl"})


@app.callback()
def _group() -> None:
    """Keep `replay` a command of its own while it is the only one."""


@app.command()
def replay(
    bins: Annotated[list[str], typer.Argument(help="Files, directories (every *.jsonl below), patterns, or - .")],
    policy: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="rollout.yaml to judge by; else the one in the file."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge files of bins, one verdict a file; with --json one object a line: {"file", "verdict", ...}.

    A file that a release wrote (modeldrop show RELEASE --bins) carries the terms it was judged with in its first
    line, and gives the recorded verdict again. With --policy it is judged as that policy would have, on the rollout as
    it was: its canary, its bake, its slow threshold. Bins without terms are taken to begin with the canary, under the
    policy given or the defaults.

    Exit status: 0 no verdict is bad; 1 one is; 3 a file could not be judged (named on stderr or as "error" in its
    line; the others are judged all the same); 2 there is no such file, or the policy is refused.

    Example: modeldrop judge replay bins.jsonl other/ --policy rollout.yaml --json
    """
    rules = _rules(policy)
    bad = broken = False
    for name in _files(bins):
        try:
            verdict = _judge(_read(name), rules)
        except (OSError, ValueError, OverflowError, RecursionError) as error:
            broken = True
            told = (error.strerror if isinstance(error, OSError) else None) or str(error)
            if as_json:
                print(json.dumps({"file": name, "error": told}))
            else:
                sys.stderr.write(f"modeldrop: {name} could not be judged: {told}\n")
            continue
        bad = bad or verdict.outcome == "bad"
        _tell(name, verdict, as_json=as_json)
    if bad or broken:
        raise typer.Exit(BROKEN if broken else ANSWER_IS_NO)


def _rules(policy: Path | None) -> Policy | None:
    from modeldrop.errors import PolicyRejectedError

    try:
        return read_policy(policy) if policy else None
    except PolicyRejectedError as error:
        raise CommandError(f"{policy} is refused: {error}", fix=f"modeldrop lint {policy}", status=USAGE) from None


def _files(names: list[str]) -> Iterator[str]:
    for name in names:
        path = Path(name)
        if name == STDIN or path.is_file():
            yield name
            continue
        if path.is_dir():
            found = [str(one) for one in sorted(path.rglob("*.jsonl")) if one.name not in NOT_BINS]
        else:
            found = sorted(one for one in glob.glob(name, recursive=True) if Path(one).is_file())  # noqa: PTH207  a pattern may be absolute
        if not found:
            what = f"{name} has no *.jsonl" if path.is_dir() else f"there is no file {name}"
            raise CommandError(what, fix="modeldrop show RELEASE --bins -o bins.jsonl", status=USAGE)
        yield from found


def _read(name: str) -> list[str]:
    if name == STDIN:
        body = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        with Path(name).open("rb") as stream:
            body = stream.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise ValueError(f"it is over {MAX_BYTES // 1024**2} MiB, too much for one rollout's bins")
    return body.decode().splitlines()


def _judge(lines: list[str], rules: Policy | None) -> Verdict:
    from modeldrop.judge.answers import read_answers
    from modeldrop.judge.bins import read_bins
    from modeldrop.judge.terms import assumed_terms, judge_by, read_terms

    read, terms = read_bins(lines), read_terms(lines)
    if not read:
        raise ValueError("it has no bins")
    if terms is None:
        terms = assumed_terms(rules or default_policy(), read)
    elif rules is not None:
        terms = terms.under(rules)
    return judge_by(terms, read, read_answers(lines))


def _tell(name: str, verdict: Verdict, *, as_json: bool) -> None:
    from modeldrop.judge.judge import verdict_to_json

    if as_json:
        found: dict[str, Any] = verdict_to_json(verdict)
        print(json.dumps({"file": name, "verdict": found.pop("outcome"), **found}))
        return
    say(f"{name}: {verdict.outcome} after {verdict.bins} bins, {verdict.green_requests} requests on green")
    for reason in (*verdict.reasons, *verdict.warnings):
        say(f"  {reason}")
