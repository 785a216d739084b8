"""Where a model is rehearsed: as the policy says, unless it would not fit there."""

from __future__ import annotations

GIB = 1024**3
# Serverless Inference: at most 6 GB of memory, 5 GB of disk (SageMaker developer guide)
SERVERLESS_MEMORY_BYTES = 6 * GIB
SERVERLESS_DISK_BYTES = 5 * GIB
# TF Serving, the container and one request's activations, beside the weights
OVERHEAD_BYTES = GIB
# memory of x86 CPU instances, smallest first (Amazon EC2 instance types)
INSTANCE_GIB = {
    "ml.c5.large": 4,
    "ml.m5.large": 8,
    "ml.m5.xlarge": 16,
    "ml.m5.2xlarge": 32,
    "ml.m5.4xlarge": 64,
    "ml.m5.12xlarge": 192,
}


def rehearsal_place(asked: str, archive_bytes: int, unpacked_bytes: int) -> tuple[str, str]:
    """Return an instance type, "serverless" or "off", and why it is not the one that was asked for (else empty).

    An instance type that is not in the table is taken as it is.
    """
    needed = unpacked_bytes + OVERHEAD_BYTES
    if asked == "serverless":
        disk = archive_bytes + unpacked_bytes
        if needed <= SERVERLESS_MEMORY_BYTES and disk <= SERVERLESS_DISK_BYTES:
            return asked, ""
        limits = "serverless has 6 GB of memory and 5 GB of disk"
    elif needed <= INSTANCE_GIB.get(asked, 10**6) * GIB:
        return asked, ""
    else:
        limits = f"{asked} has {INSTANCE_GIB[asked]} GiB of memory"
    fits = [kind for kind, gib in INSTANCE_GIB.items() if needed <= gib * GIB]
    place = fits[0] if fits else max(INSTANCE_GIB, key=INSTANCE_GIB.__getitem__)
    why = f"instead of {asked}: {limits}, the model needs {needed / GIB:.1f} GiB or more unpacked and loaded"
    return place, why
