"""Models that TensorFlow really exported pass, and every flipped byte of them that matters is named."""

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from modeldrop.artifact import operations
from tests.unit.artifact_builders import tar_gz
from tests.unit.test_artifact_inspect import inspect, refusals

ROOT = Path(__file__).parents[2]
MODELS = ["dense", "table", "control", "large-constant", "examples-sparse", "ragged", "asset-table", "many-types"]
MODELS += ["v1-predict", "v1-classify", "v1-table"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(Path(__file__).with_name("exported_models.py")), str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return out


def members(directory: Path) -> dict[str, bytes]:
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", MODELS)
def test_what_tensorflow_exports_passes(exported: Path, name: str) -> None:
    report = inspect(tar_gz(members(exported / name)))
    assert [f"{check.code} {check.what} {check.where}" for check in report.refusals] == []
    assert {check.code for check in report.warnings} <= {"GOLDEN_NONE", "MODEL_METHOD"}


def test_the_list_of_allowed_operations_is_current(exported: Path) -> None:
    ours = Path(operations.__file__).with_name("operations.txt").read_text()
    assert ours == (exported / "operations.txt").read_text(), "run: python -m scripts.make_operations"


@pytest.mark.parametrize("name", ["dense", "many-types"])
def test_every_flipped_byte_of_the_weights_names_its_tensor(exported: Path, name: str) -> None:
    files = members(exported / name)
    shard = "1/variables/variables.data-00000-of-00001"
    for at in range(0, len(files[shard]), 29):
        content = bytearray(files[shard])
        content[at] ^= 1
        report = inspect(tar_gz({**files, shard: bytes(content)}))
        assert [check.code for check in report.refusals] == ["VARIABLES_CHECKSUM"], at
        assert report.refusals[0].what.startswith("tensor ")


def test_every_flipped_byte_of_the_index_is_refused(exported: Path) -> None:
    files = members(exported / "dense")
    index = "1/variables/variables.index"
    passed = []
    for at in range(len(files[index])):
        content = bytearray(files[index])
        content[at] ^= 0x40
        if not refusals(tar_gz({**files, index: bytes(content)})):
            passed.append(len(content) - at)
    # only the meta block, which TensorFlow does not read either, its handle and the footer's padding may change
    assert all(from_end > 8 for from_end in passed)
    assert len([from_end for from_end in passed if from_end > 48]) <= 13


def test_a_flipped_byte_of_the_graph_is_never_a_crash(exported: Path) -> None:
    files, random = members(exported / "control"), Random(7)
    model = files["1/saved_model.pb"]
    for _ in range(150):
        content = bytearray(model)
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        assert "INTERNAL_UNREADABLE" not in refusals(tar_gz({**files, "1/saved_model.pb": bytes(content)}))
