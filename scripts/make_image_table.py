"""Write the region -> ECR account table of the TensorFlow Serving images into template.yaml.

The source is the `sagemaker-core` package (requirements/images.txt), which carries AWS's own list; it is installed in
an environment of its own, since nothing else of ours needs it. `make images` runs this with that environment's Python.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

TEMPLATE = Path(__file__).parents[1] / "template.yaml"
VERSION = "2.20.0"
BEGIN = f"  # <image-table> TensorFlow Serving {VERSION}, from sagemaker-core; written by `make images`\n"
END = "  # </image-table>\n"


def registries(version: str) -> tuple[str, str, dict[str, str]]:
    """Return repository, Python tag and the ECR account by region for one version of TensorFlow Serving."""
    package = find_spec("sagemaker.core")
    if package is None or package.origin is None:
        raise SystemExit("sagemaker-core is not installed here: run `make images`")
    source = Path(package.origin).parent / "image_uri_config" / "tensorflow.json"
    entry = json.loads(source.read_text())["inference"]["versions"].get(version)
    if entry is None:
        raise SystemExit(f"{source.name} knows no TensorFlow Serving {version}: lock a newer sagemaker-core")
    (python,) = entry["py_versions"]
    return entry["repository"], python, dict(entry["registries"])


def block(version: str, repository: str, python: str, accounts: Mapping[str, str]) -> str:
    """Return the lines between the markers, markers included; the same input always gives the same text."""
    lines = [
        "  ServingImage:\n",
        "    TensorFlow:\n",
        f"      Repository: {repository}\n",
        f"      GpuTag: {version}-gpu-{python}\n",
        f"      CpuTag: {version}-cpu-{python}\n",
        "  ServingImageAccount:\n",
        *(f'    {region}: {{Id: "{account}"}}\n' for region, account in sorted(accounts.items())),
    ]
    return BEGIN + "".join(lines) + END


def with_block(template: str, text: str) -> str:
    """Return the template with the text between its markers replaced."""
    pattern = re.compile(r"^  # <image-table>.*?^  # </image-table>\n", re.DOTALL | re.MULTILINE)
    replaced, count = pattern.subn(lambda _: text, template)
    if count != 1:
        raise SystemExit(f"{TEMPLATE.name} needs exactly one <image-table> block, found {count}")
    return replaced


def main() -> int:
    """Write the table, or with --check say whether it is current."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 when the table is out of date")
    asked = parser.parse_args()
    before = TEMPLATE.read_text()
    after = with_block(before, block(VERSION, *registries(VERSION)))
    if before == after:
        return 0
    if asked.check:
        print("template.yaml: the image table is out of date: run `make images`", file=sys.stderr)
        return 1
    TEMPLATE.write_text(after)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
