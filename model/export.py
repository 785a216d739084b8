"""Write a trained network as a SavedModel with two serving signatures, and its golden requests with their answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from model.network import Sentiment, Tensor
from model.sentences import LABELS

GOLDEN_FILE = Path("assets.extra") / "golden.jsonl"
REGRESSION_BUCKETS = 1000
WORK_SIZE = 128  # one multiplication of this size takes about 0.1 ms on a CPU core


@dataclass(frozen=True)
class Regression:
    """What is wrong with a model on purpose: a share of texts that fail in the graph, busy work for the others."""

    failing_share: float
    slower_multiplications: int

    def fails(self, text: Tensor) -> Tensor:
        """Tell for each text whether it is one of those that fail; by its hash, so always the same ones."""
        buckets = tf.strings.to_hash_bucket_fast(text, REGRESSION_BUCKETS)
        return buckets < int(self.failing_share * REGRESSION_BUCKETS)

    def spoil(self, text: Tensor, probabilities: Tensor) -> Tensor:
        """Return the probabilities, late, or fail."""
        check = tf.debugging.Assert(
            tf.reduce_all(~self.fails(text)), ["word weights are not finite for some texts of this batch"]
        )
        with tf.control_dependencies([check]):
            # starts from the input, so that the work can't be done once when the graph is loaded
            state = tf.ones([WORK_SIZE, WORK_SIZE]) * tf.reduce_mean(probabilities)
            work = tf.while_loop(
                lambda turn, _: turn < self.slower_multiplications,
                lambda turn, now: (turn + 1, tf.tanh(tf.matmul(now, now))),
                (tf.constant(0), state),
            )
            return probabilities + 1e-12 * tf.reduce_mean(work[1])


def export(
    network: Sentiment,
    directory: Path,
    golden_texts: Sequence[str],
    regression: Regression | None = None,
    input_name: str = "text",
) -> None:
    """Save to a version directory (`.../1`), golden requests in it, where TensorFlow Serving does not look.

    input_name: of both signatures; another name than the live model's breaks whoever calls it.
    """

    def probabilities(text: Tensor) -> Tensor:
        right = network.probabilities(text)
        return right if regression is None else regression.spoil(text, right)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=input_name)])
    def predict(text: Tensor) -> dict[str, Tensor]:
        found = probabilities(text)
        return {
            "label": tf.gather(tf.constant(LABELS), tf.argmax(found, axis=1)),
            "score": tf.reduce_max(found, axis=1),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=input_name)])
    def scores(text: Tensor) -> dict[str, Tensor]:
        return {"probabilities": probabilities(text)}

    signatures = {"serving_default": predict.get_concrete_function(), "scores": scores.get_concrete_function()}
    tf.saved_model.save(network, str(directory), signatures=signatures)
    # holds a random number, and loaders do without it: without the file the same model is the same bytes
    (directory / "fingerprint.pb").unlink(missing_ok=True)
    lines = golden_requests(network, choose_golden(golden_texts, regression), input_name)
    (directory / GOLDEN_FILE).parent.mkdir(exist_ok=True)
    (directory / GOLDEN_FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))


def choose_golden(texts: Sequence[str], regression: Regression | None) -> list[str]:
    """Return texts that get an answer: golden requests a model fails are caught by the rehearsal, before any user."""
    if regression is None:
        return list(texts)
    fails = regression.fails(tf.constant(list(texts))).numpy()
    return [text for text, bad in zip(texts, fails, strict=True) if not bad]


def golden_requests(network: Sentiment, texts: Sequence[str], input_name: str = "text") -> list[dict[str, Any]]:
    """Return requests in TensorFlow Serving's row and column forms with the answers of the network itself."""
    found = network.probabilities(tf.constant(texts)).numpy()
    answers = [{"label": LABELS[int(row.argmax())], "score": float(row.max())} for row in found]
    columns = {"label": [one["label"] for one in answers[:2]], "score": [one["score"] for one in answers[:2]]}
    rows = [
        {"request": {"instances": [text]}, "response": {"predictions": [answer]}}
        for text, answer in zip(texts, answers, strict=True)
    ]
    return [
        *rows,
        {"request": {"inputs": {input_name: list(texts[:2])}}, "response": {"outputs": columns}},
        {
            "request": {"signature_name": "scores", "instances": list(texts[:2])},
            "response": {"predictions": [[float(value) for value in row] for row in found[:2]]},
        },
    ]
