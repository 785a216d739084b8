"""Time the cold import of every handler, with what ships: `python benchmarks/cold_import.py`.

The interpreter has functions/requirements.txt only and believes to be in Lambda, where the X-Ray SDK imports less.
CPU time is printed beside wall time, since other programs of the machine change it less.
"""

import os
import statistics
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / ".tools/shipped"
RUNS = 7
CODE = """
import time
wall, cpu = time.perf_counter(), time.process_time()
import modeldrop.handlers.{0}
print(time.perf_counter() - wall, time.process_time() - cpu)
"""


def main() -> None:
    uv = str(ROOT / ".tools/bin/uv")
    python = str(SHIPPED / "bin/python")
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", "3.13", SHIPPED], check=True)
    requirements = ROOT / "functions/requirements.txt"
    subprocess.run([uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", requirements], check=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "functions"), "LAMBDA_TASK_ROOT": "/var/task"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # sam build ships .pyc files
    print(f"{'handler':20} {'wall ms':>8} {'cpu ms':>8}   median of {RUNS}")
    for handler in sorted(path.stem for path in (ROOT / "functions/modeldrop/handlers").glob("[!_]*.py")):
        command = [python, "-c", CODE.format(handler)]
        subprocess.run(command, env=environment, check=True, capture_output=True)  # writes the .pyc files
        runs = [subprocess.run(command, env=environment, check=True, capture_output=True) for _ in range(RUNS)]
        wall, cpu = (statistics.median(float(run.stdout.split()[at]) for run in runs) for at in (0, 1))
        print(f"{handler:20} {wall * 1000:8.0f} {cpu * 1000:8.0f}")


main()
