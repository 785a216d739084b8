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
# Assumptions, not measured and without a published source: a CUDA context with cuDNN, cuBLAS and TensorFlow's own takes
# 0.5 to 1.5 GiB, and a fifth of the memory is left for activations and fragmentation.
CONTEXT_BYTES = 1536 * MIB
USABLE_SHARE = 0.8
# TensorFlow Serving, its container and the system; its image is 2 GB on disk before it starts
HOST_OVERHEAD_BYTES = 1536 * MIB
# An instance without disks of its own gets an EBS volume whose size depends on the type; AWS's table of them is not in
# ours, so above this size a person is asked to look, and nothing is refused
EBS_ASK_BYTES = 20 * 10**9


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
    total = need.archive_bytes + need.unpacked_bytes
    told = f"disk: archive {_size(need.archive_bytes)} + unpacked {_size(need.unpacked_bytes)} = {_size(total)}"
    if instance.disk_gb and total > instance.disk_gb * 10**9:
        findings.add("FIT_DISK", f"{told}; {instance_type} has {_size(instance.disk_gb * 10**9)}")
    elif not instance.disk_gb and total > EBS_ASK_BYTES:
        findings.add("FIT_VOLUME", f"{told}; {instance_type} has no disk of its own")


def _size(size: int) -> str:
    return f"{size / 1024**3:,.2f} GiB"
