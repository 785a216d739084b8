"""Time the cold import of every handler, each in a fresh interpreter: `python benchmarks/cold_import.py`."""

import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNS = 5
CODE = "import time; t = time.perf_counter(); import modeldrop.handlers.{0}; print(time.perf_counter() - t)"


def main() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "functions")}
    for handler in sorted(path.stem for path in (ROOT / "functions/modeldrop/handlers").glob("[!_]*.py")):
        command = [sys.executable, "-c", CODE.format(handler)]
        subprocess.run(command, env=environment, check=True, capture_output=True)  # writes the .pyc files
        times = [
            float(subprocess.run(command, env=environment, check=True, capture_output=True).stdout) for _ in range(RUNS)
        ]
        print(f"{handler:20} median {statistics.median(times) * 1000:5.0f} ms of {RUNS}")


main()
