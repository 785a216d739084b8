"""Where code lives on disk: the runtime directory that stands for AWS's, and unpacked deployment packages."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from importlib import metadata
from pathlib import Path

from localcloud.processes import spawner

# What AWS's Python runtime brings along: its runtime client, and boto3 with its dependencies.
RUNTIME_DISTRIBUTIONS = (
    "awslambdaric",
    "simplejson",
    "snapshot-restore-py",
    "boto3",
    "botocore",
    "s3transfer",
    "jmespath",
    "python-dateutil",
    "six",
    "urllib3",
)


def build_runtime_directory(target: Path) -> Path:
    """Link the runtime's packages, and nothing else of this interpreter's environment, into one directory."""
    target.mkdir(parents=True, exist_ok=True)
    for name in RUNTIME_DISTRIBUTIONS:
        distribution = metadata.distribution(name)
        for file in distribution.files or ():
            top = file.parts[0]
            if top in ("..", "__pycache__") or (target / top).is_symlink():
                continue
            (target / top).symlink_to(Path(str(distribution.locate_file(top))).resolve())
    return target


def interpreter_for(runtime: str | None) -> str:
    """Return the interpreter of a runtime like `python3.13`; raises ValueError when this machine has none.

    It is never the virtual environment's own, whose packages a function must not see.
    """
    wanted = runtime or ""
    if wanted == f"python{sys.version_info.major}.{sys.version_info.minor}":
        base = Path(sys.base_prefix) / "bin" / wanted
        return str(base if base.exists() else Path(sys.executable).resolve())
    found = shutil.which(wanted) if wanted.startswith("python3.") else None
    if found is None:
        raise ValueError(f"the local cloud cannot run {wanted!r}: it needs a Python runtime with {wanted} on PATH")
    return found


class CodeStore:
    """Deployment packages, unpacked once a digest and compiled in the background."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._compiling: list[subprocess.Popen[bytes]] = []
        self._bytes: dict[str, bytes] = {}

    def shared(self, digest: str, package: bytes) -> bytes:
        """Return one object for equal packages: many functions share one build."""
        return self._bytes.setdefault(digest, package)

    def unpack(self, digest: str, package: bytes, interpreter: str) -> Path:
        """Return the directory of a package, unpacking it the first time."""
        target = self._directory / digest[:32]
        with self._lock:
            if not target.exists():
                partial = target.with_suffix(".partial")
                with zipfile.ZipFile(io.BytesIO(package)) as archive:
                    archive.extractall(partial)
                partial.rename(target)
                self._compile(target, interpreter)
        return target

    def close(self) -> None:
        """End what still compiles."""
        for process in self._compiling:
            process.kill()
            process.wait()

    def _compile(self, target: Path, interpreter: str) -> None:
        # at low priority: a function that starts meanwhile compiles what it imports by itself
        command = ["nice", "-n", "10", interpreter, "-S", "-m", "compileall", "-qq", str(target)]
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
        self._compiling.append(
            spawner().spawn(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
