"""Make the small SavedModels of the conformance tests: `python serving_models.py DIRECTORY`.

Run in a process of its own, as TensorFlow takes ten seconds to import and starts threads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.update({"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"})
import tensorflow as tf

v1 = tf.compat.v1
Signatures = dict[str, tuple[dict, dict, str]]
PREDICT = "tensorflow/serving/predict"


def save(directory: Path, build: Callable[[], Signatures], main_op: Callable[[], object] | None = None) -> None:
    with tf.Graph().as_default(), v1.Session() as session:
        signatures = build()
        definitions = {
            name: v1.saved_model.build_signature_def(
                {key: v1.saved_model.build_tensor_info(tensor) for key, tensor in inputs.items()},
                {key: v1.saved_model.build_tensor_info(tensor) for key, tensor in outputs.items()},
                method,
            )
            for name, (inputs, outputs, method) in signatures.items()
        }
        init = main_op() if main_op else None
        builder = v1.saved_model.Builder(str(directory))
        builder.add_meta_graph_and_variables(session, ["serve"], definitions, main_op=init)
        builder.save()


def times(factor: float) -> Callable[[], Signatures]:
    def build() -> Signatures:
        x = v1.placeholder(tf.float32, [None, 2], "x")
        return {"serving_default": ({"x": x}, {"y": tf.reduce_sum(x, axis=1) * factor}, PREDICT)}

    return build


def many() -> Signatures:
    """Several inputs and outputs, all kinds of values, and the three methods."""
    a, b = v1.placeholder(tf.float32, [None], "a"), v1.placeholder(tf.int64, [None], "b")
    text = v1.placeholder(tf.string, [None], "text")
    serialized = v1.placeholder(tf.string, [None], "serialized")
    parsed = v1.parse_example(serialized, {"f": v1.FixedLenFeature([], tf.float32)})
    labels = tf.tile(tf.constant([["low", "high"]]), [tf.shape(serialized)[0], 1])
    scores = tf.stack([1 - parsed["f"], parsed["f"]], axis=1)
    return {
        "serving_default": ({"a": a, "b": b}, {"sum": a + tf.cast(b, tf.float32), "b": b}, PREDICT),
        "echo": ({"text": text}, {"text": text, "raw_bytes": text}, PREDICT),
        "scalar": ({"a": a}, {"total": tf.reduce_sum(a)}, PREDICT),
        "classes": (
            {"inputs": serialized},
            {"classes": labels, "scores": scores},
            "tensorflow/serving/classify",
        ),
        "values": ({"inputs": serialized}, {"outputs": parsed["f"] * 2}, "tensorflow/serving/regress"),
    }


def moody() -> Signatures:
    """Fails on negative numbers, and takes long for large ones (x counts thousands of loops)."""
    x = v1.placeholder(tf.float32, [None], "x")
    with tf.control_dependencies([v1.debugging.assert_non_negative(x, message="negative input")]):
        loops = tf.cast(tf.reduce_max(x) * 1000, tf.int64)
    done = v1.while_loop(lambda i: i < loops, lambda i: i + 1, [tf.constant(0, tf.int64)])
    return {"serving_default": ({"x": x}, {"y": x + tf.cast(done - done, tf.float32)}, PREDICT)}


def endless() -> object:
    loop = v1.while_loop(lambda i: i >= 0, lambda i: i * 0, [tf.constant(0)])
    return tf.group(loop)


def main(directory: Path) -> None:
    save(directory / "double" / "1", times(2.0))
    save(directory / "triple" / "1", times(3.0))
    save(directory / "many" / "1", many)
    save(directory / "moody" / "export" / "Servo" / "7", moody)
    save(directory / "endless" / "1", times(1.0), endless)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
