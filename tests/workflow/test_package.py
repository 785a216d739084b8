"""A user's own model, packed with TensorFlow in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path


def test_a_keras_model_and_its_samples_become_an_archive_with_golden_requests(tmp_path: Path) -> None:
    make = "import sys, keras; keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)]).save(sys.argv[1])"
    model, samples, archive = tmp_path / "mine.keras", tmp_path / "samples.jsonl", tmp_path / "model.tar.gz"
    subprocess.run([sys.executable, "-c", make, str(model)], check=True, capture_output=True, timeout=240)
    samples.write_text("[1.0, 2.0]\n[0.5, 0.25]\n")
    command = [sys.executable, "-m", "cli.main", "package", str(model), "--sample", str(samples), "-o", str(archive)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    with tarfile.open(archive) as tar:
        content = tar.extractfile("1/assets.extra/golden.jsonl")
        assert content is not None
        lines = [json.loads(line) for line in content.read().splitlines()]
    assert [line["request"] for line in lines] == [{"instances": [[1.0, 2.0]]}, {"instances": [[0.5, 0.25]]}]
    assert all(len(line["response"]["predictions"]) == 1 for line in lines)
    check = subprocess.run([sys.executable, "-m", "cli.main", "validate", str(archive)], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout
