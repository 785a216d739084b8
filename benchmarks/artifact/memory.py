"""Peak memory and time of whole inspections: `PYTHONPATH=. python benchmarks/artifact/memory.py [MiB OF WEIGHTS]`."""

import sys
import time

from tests.unit.test_artifact_memory import measured

weights = int(sys.argv[1]) if len(sys.argv) > 1 else 10_240
for made in (f"weights({weights})", "zeros(1024)", "members(100_000)", "long_names(2000)"):
    began = time.perf_counter()
    peak, grown, uncompressed, codes = measured(made)
    seconds = time.perf_counter() - began
    print(f"{made:18} peak {peak:4} MiB (+{grown}), {uncompressed:6} MiB read, {seconds:5.1f} s, {' '.join(codes)}")
