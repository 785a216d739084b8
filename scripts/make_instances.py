"""Write functions/modeldrop/artifact/instances.csv: GPUs and memory of the instance types SageMaker hosts models on.

The source is EC2's own DescribeInstanceTypes, of which moto carries a copy; `ml.X` has the hardware of X. Families that
SageMaker hosting does not offer do no harm: SageMaker refuses them itself.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from modeldrop.artifact import fit

FILE = Path(fit.__file__).with_name("instances.csv")
FAMILIES = ["c4", "c5", "c5d", "c6i", "c6id", "c6g", "c6gd", "c7g", "c7i", "m4", "m5", "m5d", "m6g", "m6gd", "m7i"]
FAMILIES += ["r5", "r5d", "r6g", "r7i", "g4dn", "g5", "g6", "g6e", "p2", "p3", "p3dn", "p4d", "p4de", "p5", "p5e"]
FAMILIES += ["t2", "p5en"]


def described() -> dict[str, Any]:
    """Return EC2's description of every instance type."""
    source = files("moto") / "ec2" / "resources" / "instance_types.json.gz"
    found: dict[str, Any] = json.loads(gzip.decompress(source.read_bytes()))
    return found


def text(types: dict[str, Any]) -> str:
    """Return the table, sizes in MiB and disks in GB as EC2 gives them."""
    lines = [f"# EC2 DescribeInstanceTypes (moto {version('moto')}); scripts/make_instances.py", fit.HEADER]
    for name, one in sorted(types.items()):
        family, _, _ = name.partition(".")
        if family not in FAMILIES:
            continue
        gpus = (one.get("GpuInfo") or {}).get("Gpus") or []
        count = sum(gpu["Count"] for gpu in gpus)
        each = min((gpu["MemoryInfo"]["SizeInMiB"] for gpu in gpus), default=0)
        model = gpus[0]["Name"] if gpus else ""
        disk = (one.get("InstanceStorageInfo") or {}).get("TotalSizeInGB", 0)
        lines.append(f"ml.{name},{one['MemoryInfo']['SizeInMiB']},{count},{each},{model},{disk}")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the table, or with --check say whether it is current."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 when the table is out of date")
    asked = parser.parse_args()
    found = text(described())
    if asked.check:
        current = FILE.exists() and FILE.read_text() == found
        if not current:
            print(f"{FILE} is out of date: run python -m scripts.make_instances", file=sys.stderr)
        return 0 if current else 1
    FILE.write_text(found)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
