"""Golden requests from samples: the model is run in a process of its own, and its answers are stored with the requests.

`python -m cli.answers MODEL SAMPLES OUT [EXPORT]` is that process. MODEL is a SavedModel directory, or a .keras file,
which is first exported to EXPORT as `model.export` does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from modeldrop.artifact.golden import DEFAULT_ATOL, DEFAULT_RTOL, MAX_GOLDEN_REQUESTS

MAX_SECONDS = 900
REQUEST_NAMES = frozenset({"instances", "inputs"})


class AnswersError(Exception):
    """The model could not be run on the samples; the message says why and what to do."""


def read_samples(path: Path) -> list[dict[str, Any]]:
    """Return each line as a request body: one with instances or inputs as it is, anything else as one instance."""
    requests = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip():
            continue
        try:
            sample = json.loads(line)
        except ValueError as error:
            raise AnswersError(f"{path} line {number} is not JSON: {error}") from None
        is_request = isinstance(sample, dict) and not REQUEST_NAMES.isdisjoint(sample)
        requests.append(sample if is_request else {"instances": [sample]})
    if not 1 <= len(requests) <= MAX_GOLDEN_REQUESTS:
        raise AnswersError(f"{path} has {len(requests)} samples; allowed: 1 to {MAX_GOLDEN_REQUESTS}, one a line")
    return requests


def write_answers(model: Path, samples: Path | None, golden: Path, export: Path) -> None:
    """Run the model on the samples and write golden.jsonl; a .keras model is exported, also without samples."""
    if samples is not None:
        read_samples(samples)  # what is wrong here is told without waiting for TensorFlow
    if not has_tensorflow():
        fix = "install it beside modeldrop: pip install 'tensorflow-cpu~=2.20.0'"
        raise AnswersError(f"running {model} needs TensorFlow, and it is not installed here; {fix}")
    given = [str(model), str(samples or ""), str(golden), str(export)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    try:
        done = subprocess.run(  # noqa: S603  this file, with paths the user gave
            [sys.executable, "-m", "cli.answers", *given],
            capture_output=True, text=True, timeout=MAX_SECONDS, env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise AnswersError(f"{model} did not answer its samples in {MAX_SECONDS} s") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise AnswersError(f"{model} could not be run: {said[-1] if said else f'status {done.returncode}'}"[:1000])


def has_tensorflow() -> bool:
    """Say whether TensorFlow is installed, without importing it."""
    return find_spec("tensorflow") is not None


def main(model: Path, samples: str, golden: Path, export: Path) -> None:
    """Run in a process of its own: TensorFlow takes seconds and 500 MB, and a model may crash."""
    if model.suffix == ".keras":
        import tensorflow as tf

        tf.keras.models.load_model(model).export(str(export))
        model = export
    if not samples:
        return
    from localcloud.model_server.errors import ServingError
    from localcloud.model_server.servable import Servable

    servable, lines = Servable(model), []
    for number, request in enumerate(read_samples(Path(samples)), 1):
        try:
            answer = json.loads(servable.answer("predict", json.dumps(request)))
        except ServingError as error:
            said = " ".join(error.message.split())
            raise AnswersError(f"sample {number} was answered with an error: {said}") from None
        lines.append({"request": request, "response": answer, "rtol": DEFAULT_RTOL, "atol": DEFAULT_ATOL})
    golden.write_text("".join(json.dumps(line) + "\n" for line in lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
