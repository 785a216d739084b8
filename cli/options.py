"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

StackName = Annotated[
    str, typer.Option("--stack", envvar="MODELDROP_STACK", help="CloudFormation stack.", metavar="NAME")
]
Endpoint = Annotated[str, typer.Argument(show_default=False)]
Plain = Annotated[bool, typer.Option("--plain", help="Lines instead of a live view.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
DEFAULT_STACK = "modeldrop"
