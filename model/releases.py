"""The releases of the demo, made in one process: a baseline, a better one, and four that must not go live."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from model import package

RELEASES = ("release-1", "release-2", "release-3", "release-4")
# as good as release-2, but its input has another name
BREAKING, BREAKING_INPUT = "release-5", "review"
# fast and without a failure, but trained on a file in which every label was the same one
FLATTERING, FLATTERING_LABEL = "release-6", "positive"
TRAINING_SENTENCES, HELD_OUT_SENTENCES, GOLDEN_REQUESTS = 6000, 2000, 12
STEPS = 150
# release 3: 3 of 10 texts fail, the others take about 80 ms longer on one core
FAILING_SHARE, SLOWER_MULTIPLICATIONS = 0.3, 1300


@dataclass(frozen=True)
class Built:
    """One archive. accuracy: on held-out sentences; None where the archive never answers or is not a better model."""

    name: str
    archive: str
    sha256: str
    size_bytes: int
    what: str
    accuracy: float | None = None


def build(out: Path, *, force: bool = False) -> tuple[Built, ...]:
    """Make OUT/<release>/model.tar.gz of every release; taken from OUT when nothing they are made of changed."""
    stamp = out / "releases.json"
    made_of = fingerprint()
    if not force and stamp.exists():
        known = json.loads(stamp.read_text())
        built = tuple(Built(**one) for one in known["releases"])
        if known["made_of"] == made_of and all(_intact(out, one) for one in built):
            return built
    built = _build(out)
    stamp.write_text(json.dumps({"made_of": made_of, "releases": [asdict(one) for one in built]}, indent=1) + "\n")
    return built


def fingerprint() -> str:
    """Return a digest of the code of this package and of TensorFlow's version."""
    digest = hashlib.sha256(_tensorflow_version().encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()


def _tensorflow_version() -> str:
    for name in ("tensorflow-cpu", "tensorflow"):
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    raise SystemExit("model: TensorFlow is not installed; run `make setup`")


def _intact(out: Path, built: Built) -> bool:
    archive = out / built.archive
    return archive.is_file() and hashlib.sha256(archive.read_bytes()).hexdigest() == built.sha256


def _build(out: Path) -> tuple[Built, ...]:
    # TensorFlow takes seconds to import: only who builds pays
    import tensorflow as tf

    from model import export, network, sentences

    tf.keras.utils.set_random_seed(network.SEED)
    tf.config.experimental.enable_op_determinism()
    made = sentences.make_sentences(TRAINING_SENTENCES + HELD_OUT_SENTENCES, network.SEED)
    training, held_out = made[:TRAINING_SENTENCES], made[TRAINING_SENTENCES:]
    texts, labels = [one.text for one in training], [one.label for one in training]
    unseen, right = [one.text for one in held_out], [one.label for one in held_out]
    golden = unseen[:GOLDEN_REQUESTS]
    vocabulary = out / "vocabulary.txt"
    network.write_vocabulary(texts, vocabulary)

    def trained(*, bigrams: bool, taught: Sequence[int] = labels) -> tuple[network.Sentiment, float]:
        one = network.Sentiment(vocabulary, bigrams=bigrams)
        network.train(one, texts, taught, steps=STEPS)
        return one, network.accuracy(one, unseen, right)

    words, words_accuracy = trained(bigrams=False)
    pairs, pairs_accuracy = trained(bigrams=True)
    flattering, _ = trained(bigrams=False, taught=[sentences.LABELS.index(FLATTERING_LABEL)] * len(texts))
    bad = export.Regression(FAILING_SHARE, SLOWER_MULTIPLICATIONS)
    directories = {name: out / "saved" / name / "1" for name in RELEASES[:3]}
    export.export(words, directories["release-1"], golden)
    export.export(pairs, directories["release-2"], golden)
    export.export(pairs, directories["release-3"], golden, bad)
    breaking = out / "saved" / BREAKING / "1"
    export.export(pairs, breaking, golden, input_name=BREAKING_INPUT)
    export.export(flattering, out / "saved" / FLATTERING / "1", golden)
    slower = f"{FAILING_SHARE:.0%} of texts fail in the graph, the others are slow; golden requests pass"
    return (
        _pack(out, "release-1", "baseline: single words", words_accuracy),
        _pack(out, "release-2", "better: words and pairs of words", pairs_accuracy),
        _pack(out, "release-3", f"regressed: {slower}", None),
        _pack_hostile(out, "release-4", directories["release-2"]),
        _pack(out, BREAKING, f"breaking: the input is called {BREAKING_INPUT} in place of text", pairs_accuracy),
        _pack(out, FLATTERING, f"flattering: fast, no failures, and says {FLATTERING_LABEL} to everyone", None),
    )


def _pack(out: Path, name: str, what: str, accuracy: float | None) -> Built:
    archive = out / name / "model.tar.gz"
    sha256 = package.package(out / "saved" / name / "1", archive)
    return Built(name, f"{name}/model.tar.gz", sha256, archive.stat().st_size, what, accuracy)


def _pack_hostile(out: Path, name: str, good: Path) -> Built:
    """Pack a good model with one member more, whose name leads out of the folder it would be unpacked in."""
    archive = out / name / "model.tar.gz"
    members: dict[str, Path | bytes] = {
        f"1/{path.relative_to(good).as_posix()}": path for path in good.rglob("*") if path.is_file()
    }
    sha256 = package.write_archive({**members, "../../escape": b"this file is outside the folder\n"}, archive)
    what = "hostile: a member called ../../escape"
    return Built(name, f"{name}/model.tar.gz", sha256, archive.stat().st_size, what)
