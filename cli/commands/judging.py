"""`modeldrop judge replay`: what the judge says to bins that were written down."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.commands.artifacts import default_policy, read_policy
from cli.console import print_json, say
from cli.failures import ANSWER_IS_NO, USAGE, CommandError
from cli.options import AsJson

if TYPE_CHECKING:
    from modeldrop.policy.model import Policy

app = typer.Typer(help="The judge, away from any cloud.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `replay` a command of its own while it is the only one."""


@app.command()
def replay(
    bins: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    policy: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="rollout.yaml; else defaults.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a file of bins, such as reports/<endpoint>/<release>/bins.jsonl; exit status 1 when the verdict is bad.

    Example: modeldrop judge replay bins.jsonl --policy rollout.yaml
    """
    from modeldrop.judge.bins import read_bins
    from modeldrop.judge.judge import judge, verdict_to_json

    rules = read_policy(policy) if policy else default_policy()
    try:
        read = read_bins(bins.read_text().splitlines())
    except (ValueError, KeyError) as error:
        raise CommandError(f"{bins} is not a file of bins: {error}", status=USAGE) from None
    if not read:
        raise CommandError(f"{bins} has no bins", status=USAGE)
    verdict = judge(
        read,
        rules.judge,
        canary_started=min(one.start for one in read),
        clump=rules.judge.clump or 1,
        green_share=_green_share(rules),
        expected_bins=max(1, rules.canary.bake_seconds // rules.endpoint.metrics_every_seconds),
    )
    if as_json:
        print_json(verdict_to_json(verdict))
    else:
        say(f"{verdict.outcome} after {verdict.bins} bins, {verdict.green_requests} requests on green")
        for reason in verdict.reasons:
            say(f"  {reason}")
    if verdict.outcome == "bad":
        raise typer.Exit(ANSWER_IS_NO)


def _green_share(policy: Policy) -> float:
    """Return the share of instances, hence of traffic, that the policy gives the canary."""
    size = policy.canary.size
    return size.share if size.share is not None else (size.instances or 1) / policy.endpoint.instance_count
