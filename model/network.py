"""The sentiment network: text in, tokenizer and vocabulary inside the graph, one probability for each label out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from model.sentences import LABELS

Tensor = Any  # tensorflow publishes no types

UNKNOWN_BUCKETS = 32
BIGRAM_BUCKETS = 8192
SEED = 20


class Vocabulary(tf.lookup.TextFileInitializer):  # type: ignore[misc]  # tensorflow publishes no types
    """A word a line, numbered by line."""

    @property
    def _shared_name(self) -> str:
        # TensorFlow's own holds an object's address, and with it no two exports would have the same bytes
        return "vocabulary"


class Sentiment(tf.Module):  # type: ignore[misc]  # tensorflow publishes no types
    """Bag of words, and of word pairs when `bigrams` is set, into a softmax."""

    def __init__(self, vocabulary: Path, *, bigrams: bool) -> None:
        super().__init__(name="sentiment")
        self.vocabulary = tf.saved_model.Asset(str(vocabulary))
        words = len(vocabulary.read_text().splitlines())
        self.table = tf.lookup.StaticVocabularyTable(
            Vocabulary(
                self.vocabulary,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            num_oov_buckets=UNKNOWN_BUCKETS,
        )
        self.words = tf.Variable(tf.zeros([words + UNKNOWN_BUCKETS, len(LABELS)]), name="words")
        self.pairs = tf.Variable(tf.zeros([BIGRAM_BUCKETS, len(LABELS)]), name="pairs") if bigrams else None
        self.bias = tf.Variable(tf.zeros([len(LABELS)]), name="bias")

    def logits(self, text: Tensor) -> Tensor:
        """Return [texts, labels] evidence for each label."""
        tokens = tokenize(text)
        total = self.bias + _bag(self.words, self.table.lookup(tokens))
        if self.pairs is not None:
            pairs = tf.strings.ngrams(tokens, 2, separator=" ")
            buckets = tf.ragged.map_flat_values(tf.strings.to_hash_bucket_fast, pairs, BIGRAM_BUCKETS)
            total += _bag(self.pairs, buckets)
        return total

    def probabilities(self, text: Tensor) -> Tensor:
        """Return [texts, labels] probabilities."""
        return tf.nn.softmax(self.logits(text))


def _bag(weights: Tensor, ids: Tensor) -> Tensor:
    """Sum the weights of each text's ids; a text without any gets zeros."""
    rows = tf.gather(weights, ids.values)
    return tf.math.unsorted_segment_sum(rows, ids.value_rowids(), ids.nrows())


def tokenize(text: Tensor) -> Tensor:
    """Split texts into lower-case words, ragged [texts, words]."""
    plain = tf.strings.regex_replace(tf.strings.lower(text), r"[^a-z0-9' ]+", " ")
    return tf.strings.split(plain)


def write_vocabulary(texts: Sequence[str], path: Path) -> None:
    """Write every word that occurs at least twice, a line a word, sorted."""
    tokens = tokenize(tf.constant(texts)).values.numpy().tolist()
    counts: dict[bytes, int] = {}
    for token in tokens:
        counts[token] = counts.get(token, 0) + 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join(sorted(word for word, count in counts.items() if count > 1)) + b"\n")


def train(network: Sentiment, texts: Sequence[str], labels: Sequence[int], *, steps: int) -> float:
    """Fit on all sentences at once (Adam); the last loss. Deterministic."""
    inputs, wanted = tf.constant(texts), tf.constant(labels)
    variables = list(network.trainable_variables)
    first = [tf.Variable(tf.zeros_like(one)) for one in variables]
    second = [tf.Variable(tf.zeros_like(one)) for one in variables]

    @tf.function
    def step(number: Tensor) -> Tensor:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=wanted, logits=network.logits(inputs))
            loss = tf.reduce_mean(losses)
        for variable, gradient, mean, square in zip(
            variables, tape.gradient(loss, variables), first, second, strict=True
        ):
            dense = tf.convert_to_tensor(gradient)
            mean.assign(0.9 * mean + 0.1 * dense)
            square.assign(0.99 * square + 0.01 * dense * dense)
            rate = 0.05 * tf.sqrt(1.0 - 0.99**number) / (1.0 - 0.9**number)
            variable.assign_sub(rate * mean / (tf.sqrt(square) + 1e-8))
        return loss

    loss = 0.0
    for number in range(1, steps + 1):
        loss = float(step(tf.constant(float(number))))
    return loss


def accuracy(network: Sentiment, texts: Sequence[str], labels: Sequence[int]) -> float:
    """Return the fraction of texts whose most probable label is the right one."""
    found = tf.argmax(network.logits(tf.constant(texts)), axis=1)
    return float(tf.reduce_mean(tf.cast(tf.equal(found, tf.constant(labels, tf.int64)), tf.float32)))
