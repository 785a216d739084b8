"""`python -m model build --out DIR`: train, export and pack the demo's releases."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from model.package import PackageError, package
from model.releases import build


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m model", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build", help="make OUT/release-N/model.tar.gz")
    make.add_argument("--out", type=Path, default=Path("build/models"), help="where to (%(default)s)")
    make.add_argument("--force", action="store_true", help="also when nothing changed")
    make.add_argument("--json", action="store_true", help="tell what was made as JSON")
    pack = commands.add_parser("package", help="pack a SavedModel directory of yours")
    pack.add_argument("saved_model", type=Path)
    pack.add_argument("archive", type=Path)
    options = parser.parse_args(arguments)
    if options.command == "package":
        try:
            print(package(options.saved_model, options.archive))
        except PackageError as error:
            print(f"model: {error}", file=sys.stderr)
            return 1
        return 0
    began = time.monotonic()
    built = build(options.out, force=options.force)
    if options.json:
        print(json.dumps([asdict(one) for one in built], indent=1))
        return 0
    for one in built:
        accuracy = f"accuracy {one.accuracy:.1%} on held-out sentences" if one.accuracy is not None else ""
        print(f"{one.name}  {one.size_bytes / 1024:6.1f} KB  {one.what}  {accuracy}".rstrip())
    print(f"{options.out} in {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
