"""Write the lists of operations a model may have, from the operations that are registered, each package's own data.

operations.txt: those of the TensorFlow that is installed; its minor version is the serving image's
(requirements/dev.in). linked_operations.txt: those of tensorflow-text, which TensorFlow Serving 2.20 links into its
server (tensorflow_serving/model_servers/BUILD, SUPPORTED_TENSORFLOW_OPS, at tag 2.20.0). Registered is not enough: what
artifact/operations.py refuses, with a reason for each name or family, stays out.
"""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import distributions
from pathlib import Path

from modeldrop.artifact import operations

FILE = Path(operations.__file__).with_name("operations.txt")
LINKED_FILE = Path(operations.__file__).with_name("linked_operations.txt")


def registered() -> tuple[str, list[str]]:
    """Return TensorFlow's version and the names of every operation it has."""
    import tensorflow as tf
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    found = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return tf.__version__, sorted(one.name for one in found.op)


def text(version: str, names: list[str], package: str = "TensorFlow") -> str:
    """Return the file: a line a name, after a line that says where they come from."""
    kept = [name for name in names if operations.reason(name) is None]
    source = f"# {package} {version}: {len(kept)} of {len(names)} registered operations; scripts/make_operations.py"
    return "\n".join([source, *kept]) + "\n"


def linked(directory: Path) -> tuple[str, list[str]]:
    """Return the version of the tensorflow-text that lies in a directory, and the operations it adds."""
    import tensorflow as tf

    before = set(registered()[1])
    for library in sorted(directory.glob("tensorflow_text/python/*/_*.so")):
        tf.load_op_library(str(library))
    (version,) = (one.version for one in distributions(name="tensorflow-text", path=[str(directory)]))
    return version, [name for name in registered()[1] if name not in before]


def main() -> int:
    """Write the lists, or with --check say whether that of TensorFlow is current."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 when the list is out of date")
    parser.add_argument("--text", type=Path, help="where tensorflow-text is installed: its list is written, too")
    asked = parser.parse_args()
    found = text(*registered())
    if asked.check:
        current = FILE.exists() and FILE.read_text() == found
        if not current:
            print(f"{FILE} is out of date: run python -m scripts.make_operations", file=sys.stderr)
        return 0 if current else 1
    FILE.write_text(found)
    if asked.text:
        LINKED_FILE.write_text(text(*linked(asked.text), "tensorflow-text"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
