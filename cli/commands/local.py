"""`modeldrop local`: AWS on one laptop, and the demo on it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from cli.console import print_json, say
from cli.failures import ANSWER_IS_NO, CommandError
from cli.options import AsJson

app = typer.Typer(help="The local cloud: AWS on one laptop, no Docker, no account.", no_args_is_help=True)

DEFAULT_PORT = 4566
DETACHED_LOG = Path(".localcloud") / "detached.log"
START_SECONDS = 30.0
Port = Annotated[int, typer.Option(min=1, max=65535, help="The one port.")]


@app.command()
def up(
    port: Port = DEFAULT_PORT,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Leave it running in the background.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start the local cloud and keep it until Ctrl-C.

    Example: modeldrop local up --detach, paste the exports, sam build && sam deploy
    """
    from localcloud.__main__ import up as serve

    if not detach:
        raise typer.Exit(serve(port))
    environment = _start_detached(port)
    if as_json:
        print_json(environment)
        return
    say(f"local cloud at {environment['AWS_ENDPOINT_URL']}, log in {DETACHED_LOG}; `modeldrop local down` stops it\n")
    for name, value in environment.items():
        say(f"export {name}={value}")


@app.command()
def down(port: Port = DEFAULT_PORT) -> None:
    """Stop the local cloud that serves a port.

    Example: modeldrop local down
    """
    from localcloud.cloud import LocalCloud

    LocalCloud.attach(f"http://localhost:{port}").shutdown()
    say(f"local cloud on port {port} stopped")


@app.command()
def demo(
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a live view.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The one port; 0 is any free one.")] = 0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the cloud running at the end, until Ctrl-C.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the results here.")] = None,
) -> None:
    """Drop six models: one is created, one promoted, two rolled back, two refused. About five minutes.

    Exit status 1 when an outcome is not the expected one. Example: modeldrop local demo --plain
    """
    from cli.demo.story import run

    raise typer.Exit(0 if run(plain=plain, port=port, keep=keep, json_file=json_file) else ANSWER_IS_NO)


def _start_detached(port: int) -> dict[str, str]:
    """Start `local up` in a session of its own and wait until it answers."""
    from localcloud.cloud import LocalCloud, LocalCloudError

    url = f"http://localhost:{port}"
    DETACHED_LOG.parent.mkdir(exist_ok=True)
    with DETACHED_LOG.open("w") as log:
        process = subprocess.Popen(  # noqa: S603 arguments made here
            [sys.executable, "-m", "localcloud", "up", "--port", str(port)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise CommandError(f"the local cloud did not start: {DETACHED_LOG.read_text().strip()[-1000:]}")
        try:
            return LocalCloud.attach(url).environment()
        except LocalCloudError:
            time.sleep(0.1)
    process.terminate()
    raise CommandError(
        f"the local cloud does not answer on port {port} after {START_SECONDS:.0f} s; see {DETACHED_LOG}"
    )
