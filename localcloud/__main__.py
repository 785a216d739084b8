"""`python -m localcloud up`: a local cloud in the foreground, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from types import FrameType
from typing import TextIO

from localcloud.cloud import LocalCloud, LocalCloudError

DEFAULT_PORT = 4566


def up(port: int) -> int:
    """Start, print what to paste, and serve until Ctrl-C, SIGTERM or `down`."""
    # SIGINT by name too: a shell's background job inherits it ignored, and Python then leaves it so
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupt)
    began = time.monotonic()
    try:
        with LocalCloud.start(port) as cloud:
            _say(f"local cloud at {cloud.url} (up in {time.monotonic() - began:.1f} s); Ctrl-C stops it\n")
            for name, value in cloud.environment().items():
                _say(f"export {name}={value}")
            ended = cloud.wait()
            if cloud.exit_status(ended) != 0:
                _say(f"the local cloud's {ended} ended by itself:\n{cloud.log_tail(ended)}", sys.stderr)
                return 3
    except LocalCloudError as error:
        _say(f"localcloud: {error}", sys.stderr)
        return 3
    except KeyboardInterrupt:
        _say("\nlocal cloud stopped")
    return 0


def down(port: int) -> int:
    """End the local cloud that serves a port."""
    try:
        LocalCloud.attach(f"http://localhost:{port}").shutdown()
    except LocalCloudError as error:
        _say(f"localcloud: {error}", sys.stderr)
        return 3
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status: 0 good, 2 usage, 3 the cloud failed."""
    parser = argparse.ArgumentParser(prog="localcloud", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("up", "serve in the foreground"), ("down", "end the cloud that serves a port")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--port", type=int, default=DEFAULT_PORT, help="the one public port (%(default)s)")
    options = parser.parse_args(arguments)
    return up(options.port) if options.command == "up" else down(options.port)


def _say(text: str, stream: TextIO = sys.stdout) -> None:
    stream.write(text + "\n")
    stream.flush()


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
