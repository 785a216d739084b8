"""One loaded SavedModel version: TensorFlow's v1 session, as TensorFlow Serving's C++ loader runs it.

TensorFlow is imported inside functions: the process that forks fleets has it already, tests of the rules need none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from localcloud.model_server import tensors
from localcloud.model_server.errors import ServingError
from localcloud.model_server.tensors import Array, TensorSpec

DEFAULT_SIGNATURE = "serving_default"
_METHOD_NAMES = {
    "predict": "tensorflow/serving/predict",
    "classify": "tensorflow/serving/classify",
    "regress": "tensorflow/serving/regress",
}
_WIRE_NAMES = {"float32": "FLOAT", "float64": "DOUBLE", "float16": "HALF"}
# tensorflow/serving, ToHTTPStatusCode: the gRPC code of a TensorFlow error -> the HTTP status of the answer
_STATUS_OF_CODE = {
    1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501, 13: 500,
    14: 503, 15: 500, 16: 401,
}  # fmt: skip


@dataclass(frozen=True)
class Signature:
    """A serving signature, ready to run."""

    name: str
    method: str
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]
    run: Callable[[Mapping[str, Array]], dict[str, Array]]


class Servable:
    """A SavedModel in a session of its own; safe to use from many threads."""

    def __init__(self, directory: Path) -> None:
        """Load the `serve` graph; raises whatever TensorFlow raises for a SavedModel it can't load."""
        import tensorflow as tf

        self._tf = tf
        self._graph = tf.Graph()
        config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1)
        self._session = tf.compat.v1.Session(graph=self._graph, config=config)
        with self._graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], str(directory))
        self._definitions = {
            name: definition
            for name, definition in loaded.signature_def.items()
            if name != "__saved_model_init_op" and definition.outputs
        }
        self._signatures: dict[str, Signature] = {}
        # the caller's thread runs the graph: faster, and a request that hangs holds no thread that others need
        self._options = tf.compat.v1.RunOptions(inter_op_thread_pool=-1)

    @cached_property
    def names(self) -> list[str]:
        """The names of the signatures."""
        return sorted(self._definitions)

    def signature(self, name: str) -> Signature:
        """Return a signature; raises ServingError when the model has none of that name."""
        if name not in self._definitions:
            raise ServingError(f'Serving signature name: "{name}" not found in signature def')
        found = self._signatures.get(name)
        if found is None:
            found = self._signatures[name] = self._build(name)
        return found

    def warm(self) -> None:
        """Build the default signature's callable before the first request."""
        if DEFAULT_SIGNATURE in self._definitions:
            self.signature(DEFAULT_SIGNATURE)

    def answer(self, method: str, text: str) -> str:
        """Return TensorFlow Serving's JSON answer to its JSON request; raises ServingError."""
        document = tensors.parse_request(text)
        name = document.get("signature_name", DEFAULT_SIGNATURE)
        if not isinstance(name, str):
            raise ServingError("not formatted correctly. 'signature_name' key must be a string value.")
        signature = self.signature(name or DEFAULT_SIGNATURE)
        if method != "predict":
            return self._answer_examples(signature, method, document)
        if tensors.is_row_request(document):
            return tensors.to_rows(signature.run(tensors.from_rows(document["instances"], signature.inputs)))
        return tensors.to_columns(signature.run(tensors.from_columns(document["inputs"], signature.inputs)))

    def _build(self, name: str) -> Signature:
        definition = self._definitions[name]
        inputs = {key: self._spec(key, info) for key, info in sorted(definition.inputs.items())}
        outputs = {key: self._spec(key, info) for key, info in sorted(definition.outputs.items())}
        feeds = [definition.inputs[key].name for key in inputs]
        fetches = [definition.outputs[key].name for key in outputs]
        with self._graph.as_default():
            call = self._session.make_callable(fetches, feed_list=feeds, accept_options=True)
        keys, result_keys, options, op_error = tuple(inputs), tuple(outputs), self._options, self._tf.errors.OpError

        def run(values: Mapping[str, Array]) -> dict[str, Array]:
            try:
                results = call(*[values[key] for key in keys], options=options)
            except op_error as error:
                raise ServingError(error.message, _STATUS_OF_CODE.get(error.error_code, 500)) from None
            except ValueError as error:  # a shape that no feed can have is found before TensorFlow runs
                raise ServingError(str(error)) from None
            return {key: np.asarray(result) for key, result in zip(result_keys, results, strict=True)}

        return Signature(name, definition.method_name, inputs, outputs, run)

    def _spec(self, key: str, info: Any) -> TensorSpec:
        dtype = self._tf.dtypes.as_dtype(info.dtype)
        kind = np.dtype(object) if dtype == self._tf.string else np.dtype(dtype.as_numpy_dtype)
        return TensorSpec(key, "DT_" + _WIRE_NAMES.get(dtype.name, dtype.name.upper()), kind)

    def _answer_examples(self, signature: Signature, method: str, document: dict[str, Any]) -> str:
        if signature.method != _METHOD_NAMES[method]:
            raise ServingError(
                f"Expected {method} signature method_name to be {_METHOD_NAMES[method]}. Was: {signature.method}"
            )
        from localcloud.model_server import examples

        serialized = examples.parse_examples(document, method)
        outputs = signature.run({next(iter(signature.inputs)): serialized})
        return examples.write_classes(outputs) if method == "classify" else examples.write_values(outputs)
