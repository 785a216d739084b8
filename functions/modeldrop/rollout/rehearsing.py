"""Where a model is rehearsed: as the policy says, unless it would not fit there."""

from __future__ import annotations

from modeldrop.artifact.fit import instances

GIB = 1024**3
# Serverless Inference: at most 6 GB of memory, 5 GB of disk (SageMaker developer guide)
SERVERLESS_MEMORY_BYTES = 6 * GIB
SERVERLESS_DISK_BYTES = 5 * GIB
# TF Serving, the container and one request's activations, beside the weights
OVERHEAD_BYTES = GIB
# CPU instances that a model too large for what was asked is rehearsed on, smallest first
LARGER = ("ml.c5.large", "ml.m5.large", "ml.m5.xlarge", "ml.m5.2xlarge", "ml.m5.4xlarge", "ml.m5.12xlarge")


def rehearsal_place(asked: str, archive_bytes: int | None, unpacked_bytes: int | None) -> tuple[str, str]:
    """Return an instance type, "serverless" or "off", and why it is not the one that was asked for (else empty).

    An instance type that is not in the table is taken as it is, and so is every place while the size is not known.
    """
    if archive_bytes is None or unpacked_bytes is None:
        return asked, ""
    needed = unpacked_bytes + OVERHEAD_BYTES
    if asked == "serverless":
        disk = archive_bytes + unpacked_bytes
        if needed <= SERVERLESS_MEMORY_BYTES and disk <= SERVERLESS_DISK_BYTES:
            return asked, ""
        limits = "serverless has 6 GB of memory and 5 GB of disk"
    elif asked not in instances() or needed <= _memory_bytes(asked):
        return asked, ""
    else:
        limits = f"{asked} has {_memory_bytes(asked) / GIB:g} GiB of memory"
    place = next((kind for kind in LARGER if needed <= _memory_bytes(kind)), LARGER[-1])
    why = f"instead of {asked}: {limits}, the model needs {needed / GIB:.1f} GiB or more unpacked and loaded"
    return place, why


def _memory_bytes(kind: str) -> int:
    return instances()[kind].memory_mib * 1024**2
