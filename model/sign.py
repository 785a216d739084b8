"""Sign an archive's files with the real `model-signing` package, in a process of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.util import find_spec
from pathlib import Path

from model.package import PackageError

HOW_TO_INSTALL = "`uv tool install model-signing --with pyopenssl`, or `make signing` in modeldrop's repository"
MAX_SECONDS = 3600  # 100 GB at 30 MB/s


def sign(archive: Path, private_key: Path) -> Path:
    """Write ARCHIVE.sig, a bundle over every file of the archive, and return its path. PackageError says why not."""
    command = find_tool()
    bundle = archive.with_name(f"{archive.name}.sig")
    with tempfile.TemporaryDirectory() as directory:
        files = Path(directory) / "model"
        with tarfile.open(archive) as tar:
            tar.extractall(files, filter="data")
        # files under .github/ are signed too, or modeldrop would refuse them as added
        options = ["--no-ignore-git-paths", "--private_key", str(private_key), "--signature", str(bundle)]
        done = subprocess.run(  # noqa: S603  a program the user installed, with arguments made here
            [*command, "sign", "key", *options, str(files)], capture_output=True, text=True, timeout=MAX_SECONDS
        )
    if done.returncode != 0 or not bundle.is_file():
        said = (done.stderr or done.stdout).strip().splitlines()
        why = said[-1] if said else "no reason given"
        raise PackageError(f"model-signing could not sign with {private_key}: {why}")
    return bundle


def find_tool() -> list[str]:
    """Return the command of model-signing, from the path or this environment."""
    on_path = shutil.which("model_signing")
    if on_path:
        return [on_path]
    if find_spec("model_signing"):
        return [sys.executable, "-m", "model_signing"]
    raise PackageError(f"model-signing is not installed: {HOW_TO_INSTALL}")
