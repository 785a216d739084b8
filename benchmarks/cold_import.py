"""Time the cold import of every handler, with what ships: `python benchmarks/cold_import.py`.

The interpreter has functions/requirements.txt only and believes to be in Lambda, where the X-Ray SDK imports less.
`as packed` is what `sam build` packs, which has no bytecode: Lambda compiles at every cold start, for it cannot write
there. `compiled` is the same with bytecode. CPU time, since other programs of the machine change it less.
"""

import os
import shutil
import statistics
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / ".tools/shipped"
RUNS = 7
CODE = """
import time
began = time.process_time()
import modeldrop.handlers.{0}
print(time.process_time() - began)
"""


def median_ms(handler: str, code: Path, *, compiled: bool) -> float:
    environment = {**os.environ, "PYTHONPATH": str(code), "LAMBDA_TASK_ROOT": "/var/task"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if not compiled:
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [SHIPPED / "bin/python", "-c", CODE.format(handler)]
    runs = [subprocess.run(command, env=environment, check=True, capture_output=True) for _ in range(RUNS + 1)]
    return statistics.median(float(run.stdout) for run in runs[1:]) * 1000


def main() -> None:
    uv, python = ROOT / ".tools/bin/uv", SHIPPED / "bin/python"
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", "3.13", SHIPPED], check=True)
    requirements = ROOT / "functions/requirements.txt"
    install = [uv, "pip", "sync", "--quiet", "--no-compile-bytecode", "--python", python, "--require-hashes"]
    subprocess.run([*install, requirements], check=True)
    code = SHIPPED / "code"
    shutil.copytree(ROOT / "functions/modeldrop", code / "modeldrop", ignore=shutil.ignore_patterns("__pycache__"))
    handlers = sorted(path.stem for path in (code / "modeldrop/handlers").glob("[!_]*.py"))
    # first without, for a run with bytecode leaves it behind
    packed = {handler: median_ms(handler, code, compiled=False) for handler in handlers}
    print(f"{'handler':20} {'as packed':>10} {'compiled':>10}   ms of CPU, median of {RUNS}")
    for handler in handlers:
        print(f"{handler:20} {packed[handler]:10.0f} {median_ms(handler, code, compiled=True):10.0f}")


main()
