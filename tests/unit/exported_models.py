"""Real SavedModels of several conventions, exported by TensorFlow: `python exported_models.py OUT`, once a session."""

from __future__ import annotations

import sys
from pathlib import Path

import tensorflow as tf

OUT = Path(sys.argv[1])
F = tf.TensorSpec([None, 4], tf.float32, name="x")


def save(name: str, module: tf.Module, **signatures: object) -> None:
    tf.saved_model.save(module, str(OUT / name / "1"), signatures=signatures)


class Dense(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = tf.Variable(tf.reshape(tf.range(12.0), [4, 3]), name="w")
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant(["a", "b"]), tf.constant([1, 2], tf.int64)), -1
        )


one = Dense()
save("dense", one, serving_default=tf.function(lambda x: {"y": x @ one.w}, [F]).get_concrete_function())
text = tf.TensorSpec([None], tf.string, name="text")
save(
    "table",
    one,
    serving_default=tf.function(lambda text: {"id": one.table.lookup(text)}, [text]).get_concrete_function(),
)


@tf.function(input_signature=[F])
def control(x: tf.Tensor) -> dict[str, tf.Tensor]:
    def body(i: tf.Tensor, v: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return i + 1, tf.cond(tf.reduce_sum(v) > 0, lambda: v * 0.5, lambda: v)

    return {"y": tf.while_loop(lambda i, v: i < 3, body, (0, x @ one.w))[1]}


save("control", one, serving_default=control)
big = tf.constant([[0.5] * 500] * 100)
const = tf.function(lambda x: {"y": x[:, :1] * tf.reduce_sum(big)}, [F])
save("large-constant", tf.Module(), serving_default=const.get_concrete_function())
examples = tf.TensorSpec([None], tf.string, name="examples")
spec = {"words": tf.io.VarLenFeature(tf.int64), "x": tf.io.FixedLenFeature([4], tf.float32)}
sparse = tf.function(
    lambda examples: {"n": tf.sparse.to_dense(tf.io.parse_example(examples, spec)["words"])}, [examples]
)
save("examples-sparse", tf.Module(), serving_default=sparse.get_concrete_function())
ragged = tf.function(lambda text: {"n": tf.strings.split(text).row_lengths()}, [text])
save("ragged", tf.Module(), serving_default=ragged.get_concrete_function())

(OUT / "words.txt").write_text("a\nb\n")


class Words(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        whole, line = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        read = tf.lookup.TextFileInitializer(str(OUT / "words.txt"), tf.string, whole, tf.int64, line)
        self.table = tf.lookup.StaticHashTable(read, -1)


words = Words()
look = tf.function(lambda text: {"id": words.table.lookup(text)}, [text])
save("asset-table", words, serving_default=look.get_concrete_function())


class Mixed(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.s = tf.Variable(["a", "bcd", ""])
        self.h = tf.Variable(tf.ones([3, 2], tf.float16))
        self.b = tf.Variable([True, False])
        self.i = tf.Variable(tf.constant(7, tf.int64))


mixed = Mixed()
many = tf.function(lambda x: {"s": mixed.s, "h": mixed.h, "b": mixed.b, "y": x}, [F])
save("many-types", mixed, serving_default=many.get_concrete_function())

v1 = tf.compat.v1
for name in ("v1-predict", "v1-classify", "v1-table"):
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.string if name == "v1-table" else tf.float32, [None] if name == "v1-table" else [None, 4])
        if name == "v1-table":
            v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, v1.constant(str(OUT / "words.txt"), name="words"))
            asset = v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)[0]
            init = tf.lookup.TextFileInitializer(
                asset, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
            )
            y = tf.lookup.StaticHashTable(init, -1).lookup(x)
        else:
            y = tf.matmul(x, v1.get_variable("w", [4, 3]))
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        made = {"x": v1.saved_model.build_tensor_info(x)}, {"y": v1.saved_model.build_tensor_info(y)}
        method = "classify" if name == "v1-classify" else "predict"
        signature = v1.saved_model.build_signature_def(*made, f"tensorflow/serving/{method}")
        builder = v1.saved_model.Builder(str(OUT / name / "1"))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": signature},
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=v1.tables_initializer(),
        )
        builder.save()

from scripts import make_operations  # noqa: E402 - in this process, since importing TensorFlow takes seconds

(OUT / "operations.txt").write_text(make_operations.text(*make_operations.registered()))
