"""The `modeldrop` command: drop models, watch and steer releases, on AWS and on the local cloud alike."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer

from cli.commands import artifacts, doctor, judging, linting, local, releases, steering
from cli.failures import BROKEN, explain

EPILOG = "Exit status: 0 good, 1 the answer is no (rejected, rolled back), 2 usage, 3 AWS or internal error."

app = typer.Typer(
    name="modeldrop",
    help="Drop a TensorFlow model.tar.gz; it is checked, rolled out as a canary, judged, and promoted or rolled back.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
MODEL, RELEASE, MACHINE = "Model", "Releases", "This machine and your account"
app.command(rich_help_panel=MODEL)(artifacts.package)
app.command(rich_help_panel=MODEL)(artifacts.validate)
app.command(rich_help_panel=MODEL)(linting.lint)
app.command(rich_help_panel=RELEASE)(releases.drop)
app.command(rich_help_panel=RELEASE)(releases.watch)
app.command(rich_help_panel=RELEASE)(releases.status)
app.command(rich_help_panel=RELEASE)(releases.history)
app.command(rich_help_panel=RELEASE)(releases.show)
app.command(rich_help_panel=RELEASE)(steering.abort)
app.command(rich_help_panel=RELEASE)(steering.approve)
app.command(rich_help_panel=RELEASE)(steering.deny)
app.command(rich_help_panel=RELEASE)(steering.rollback)
app.add_typer(judging.app, name="judge", rich_help_panel=RELEASE)
app.add_typer(local.app, name="local", rich_help_panel=MACHINE)
app.command(rich_help_panel=MACHINE)(doctor.doctor)


def main() -> NoReturn:
    """Run a command; an error is one line on stderr, unless MODELDROP_TRACEBACK asks for all of it."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        told = explain(error)
        if told is None or os.environ.get("MODELDROP_TRACEBACK"):
            if told is None:
                sys.stderr.write("modeldrop: a defect of modeldrop, please report what follows\n")
            import traceback

            traceback.print_exc()
            sys.exit(BROKEN if told is None else told.status)
        sys.stderr.write(f"modeldrop: {told}\n")
        sys.exit(told.status)
    sys.exit(0)


if __name__ == "__main__":
    main()
