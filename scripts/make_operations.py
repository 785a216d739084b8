"""Write functions/modeldrop/artifact/operations.txt from the operations registered in the TensorFlow that is installed.

Its minor version is the serving image's (requirements/dev.in). Registered is not enough: what artifact/operations.py
refuses, with a reason for each name or family, stays out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from modeldrop.artifact import operations

FILE = Path(operations.__file__).with_name("operations.txt")


def registered() -> tuple[str, list[str]]:
    """Return TensorFlow's version and the names of every operation it has."""
    import tensorflow as tf
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    found = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return tf.__version__, sorted(one.name for one in found.op)


def text(version: str, names: list[str]) -> str:
    """Return the file: a line a name, after a line that says where they come from."""
    kept = [name for name in names if operations.reason(name) is None]
    source = f"# TensorFlow {version}: {len(kept)} of {len(names)} registered operations; scripts/make_operations.py"
    return "\n".join([source, *kept]) + "\n"


def main() -> int:
    """Write the list, or with --check say whether it is current."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 when the list is out of date")
    asked = parser.parse_args()
    found = text(*registered())
    if asked.check:
        current = FILE.exists() and FILE.read_text() == found
        if not current:
            print(f"{FILE} is out of date: run python -m scripts.make_operations", file=sys.stderr)
        return 0 if current else 1
    FILE.write_text(found)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
