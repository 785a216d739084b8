"""Does the model fit on one instance: a lower bound of what it needs, against what the instance type has.

The bound is what is known before running: variables and constants. Activations, which come on top, are not known, so
"fits" is never promised; "cannot fit" is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from modeldrop.artifact.findings import Findings, shown

HEADER = "type,memory_mib,gpus,gpu_memory_mib,gpu,disk_gb"
MIB = 1024**2
# Assumptions, not measured on a GPU: a CUDA context with cuDNN, cuBLAS and TensorFlow's own is 0.5 to 1.5 GiB, and
# TensorFlow plans with the rest of the memory, of which a fifth is left for activations and fragmentation.
CONTEXT_BYTES = 1536 * MIB
USABLE_SHARE = 0.8
# TensorFlow Serving, its container and the system; its image is 2 GB on disk before it starts
HOST_OVERHEAD_BYTES = 1536 * MIB
# EBS volume of a hosting instance without disks of its own, when ProductionVariant.VolumeSizeInGB is not set: 30 GB is
# the least that is documented for hosting
EBS_DISK_GB = 30


@dataclass(frozen=True)
class Instance:
    """Hardware of an instance type. gpu_memory_mib is of one GPU; disk_gb is 0 where it has EBS only."""

    name: str
    memory_mib: int
    gpus: int
    gpu_memory_mib: int
    gpu: str
    disk_gb: int


@dataclass(frozen=True)
class Need:
    """Bytes: of all variables and of the constants of the graph, of the archive, and of what it unpacks to."""

    variable_bytes: int
    constant_bytes: int
    archive_bytes: int
    unpacked_bytes: int


@cache
def instances() -> dict[str, Instance]:
    """Every instance type known, by name."""
    lines = Path(__file__).with_name("instances.csv").read_text().splitlines()[2:]
    fields = (line.split(",") for line in lines)
    return {
        name: Instance(name, int(ram), int(n), int(each), gpu, int(disk)) for name, ram, n, each, gpu, disk in fields
    }


def check_fit(need: Need, instance_type: str, findings: Findings) -> None:
    """Refuse what cannot fit; each check shows its arithmetic."""
    instance = instances().get(instance_type)
    if instance is None:
        findings.add("FIT_UNKNOWN_TYPE", f"nothing is known of {shown(instance_type, 40)}")
        return
    weights = need.variable_bytes + need.constant_bytes
    parts = f"variables {_size(need.variable_bytes)} + constants {_size(need.constant_bytes)}"
    if instance.gpus:
        have = instance.gpu_memory_mib * MIB
        usable = int(have * USABLE_SHARE)
        total = weights + CONTEXT_BYTES
        told = f"{parts} + context {_size(CONTEXT_BYTES)} = {_size(total)}; one {instance.gpu} of {instance_type} has "
        told += f"{_size(have)}, {USABLE_SHARE:.0%} of it is {_size(usable)}"
        findings.add("FIT_GPU" if total > usable else "FIT_OK", f"GPU memory: {told}")
    # while it loads, a tensor is on the host once before it is on the GPU; without a GPU it stays there
    total, have = weights + HOST_OVERHEAD_BYTES, instance.memory_mib * MIB
    told = f"{parts} + server {_size(HOST_OVERHEAD_BYTES)} = {_size(total)}; {instance_type} has {_size(have)}"
    if total > have:
        findings.add("FIT_MEMORY", f"host memory: {told}")
    elif not instance.gpus:
        findings.add("FIT_OK", f"host memory: {told}")
    disk = (instance.disk_gb or EBS_DISK_GB) * 10**9
    total = need.archive_bytes + need.unpacked_bytes
    if total > disk:
        kind = "local disk" if instance.disk_gb else "the default volume"
        told = f"archive {_size(need.archive_bytes)} + unpacked {_size(need.unpacked_bytes)} = {_size(total)}"
        findings.add("FIT_DISK", f"disk: {told}; {kind} of {instance_type} has {_size(disk)}")


def _size(size: int) -> str:
    return f"{size / 1024**3:,.2f} GiB"
