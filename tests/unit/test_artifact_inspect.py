"""One pass over model.tar.gz: the good passes, every kind of bad is refused with its own code."""

import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeldrop.artifact.codes import RULES, as_markdown
from modeldrop.artifact.inspect import inspect_artifact
from modeldrop.artifact.report import ArtifactReport, report_from_json, report_text, report_to_json
from modeldrop.artifact.saved_model import MAX_PART_BYTES
from modeldrop.errors import ArtifactRejectedError
from tests.unit.artifact_builders import (
    DT_FLOAT,
    GOLDEN,
    entry,
    good_artifact,
    good_members,
    gz,
    header,
    hostile_artifacts,
    node,
    signature,
    strings,
    tar_bytes,
    tar_gz,
    with_files,
)

LIMIT = 10 * 1024**3
HOSTILE = hostile_artifacts()
# these depend on the policy's limits, so no archive alone has them
BY_POLICY = {
    "FIT_GPU",
    "FIT_MEMORY",
    "FIT_DISK",
    "SERVING_BREAKING",
    "INTERNAL_UNREADABLE",
    "SIZE_COMPRESSED",
    "SIZE_UNCOMPRESSED",
    "CODE_REQUIREMENTS",
    "CODE_HANDLER",
}


def inspect(data: bytes, *, allow_code: bool = False, max_size_bytes: int = LIMIT, **more: Any) -> ArtifactReport:
    again = {"again": lambda: io.BytesIO(data)} | more
    return inspect_artifact(io.BytesIO(data), allow_code=allow_code, max_size_bytes=max_size_bytes, **again)


def refusals(data: bytes, **policy: object) -> set[str]:
    return {check.code for check in inspect(data, **policy).refusals}  # type: ignore[arg-type]


def warnings(data: bytes) -> set[str]:
    report = inspect(data)
    assert not report.refusals
    return {check.code for check in report.warnings}


def test_a_good_artifact_passes_every_check() -> None:
    report = inspect(good_artifact())
    assert {check.result for check in report.checks} == {"ok"}
    report.require_good()


def test_the_report_tells_what_the_plan_needs() -> None:
    data = good_artifact(version="00000123")
    report = inspect(data)
    assert (report.model_name, report.version, report.tensorflow_version) == ("model", 123, "2.20.0")
    assert report.sha256 == hashlib.sha256(data).hexdigest()
    assert (report.size_bytes, report.uncompressed_bytes) == (len(data), len(gzip.decompress(data)))
    assert report.variable_bytes == 8
    assert report.serving_signatures == {
        "serving_default": {
            "method": "tensorflow/serving/predict",
            "inputs": {"x": {"dtype": "float32", "shape": [None, 2]}},
            "outputs": {"y": {"dtype": "float32", "shape": [None, 1]}},
        }
    }
    assert [(golden.request, golden.response) for golden in report.golden] == [(GOLDEN["request"], GOLDEN["response"])]


@pytest.mark.parametrize("directory", ["1", "./1", "export/Servo/1", "./name/00000123"])
def test_a_model_may_lie_where_the_container_finds_it(directory: str) -> None:
    assert refusals(good_artifact(version=directory)) == set()


@pytest.mark.parametrize("code", HOSTILE)
def test_a_hostile_artifact_is_refused_with_its_code_only(code: str) -> None:
    report = inspect(HOSTILE[code])
    assert {check.code for check in report.refusals} == {code}
    with pytest.raises(ArtifactRejectedError) as refused:
        report.require_good()
    assert all(problem.what and problem.fix for problem in refused.value.problems)


def test_every_refusal_has_an_archive_that_provokes_it() -> None:
    refused = {code for code, rule in RULES.items() if rule.result == "refused" and not code.startswith("SIGNATURE_")}
    assert set(HOSTILE) | BY_POLICY == refused  # signatures have tests of their own


def test_every_code_is_explained_in_the_docs() -> None:
    published = (Path(__file__).parents[2] / "docs" / "artifact-checks.md").read_text()
    assert published == as_markdown(), "run: python -m modeldrop.artifact.codes > docs/artifact-checks.md"


def test_every_refusal_and_warning_says_what_to_do() -> None:
    assert [code for code, rule in RULES.items() if not rule.why] == []
    assert [code for code, rule in RULES.items() if rule.result == "refused" and not rule.fix] == []


def test_size_limits_come_from_the_policy() -> None:
    data = tar_gz({**good_members(), "1/assets/noise": Random(1).randbytes(100_000)})
    assert refusals(data, max_size_bytes=50_000) == {"SIZE_COMPRESSED"}
    zeros = tar_gz({**good_members(), "1/assets/zeros": bytes(100_000)})
    assert refusals(zeros, max_size_bytes=len(zeros)) == {"SIZE_UNCOMPRESSED"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"code/inference.py": b"def handler(data, context): ..."}, set()),
        ({"code/inference.py": b"def input_handler(d, c): ...\ndef output_handler(d, c): ..."}, set()),
        ({"code/inference.py": b"from mine import handler"}, set()),
        ({"code/inference.py": b"def input_handler(d, c): ..."}, {"CODE_HANDLER"}),
        ({"code/inference.py": b"def ("}, {"CODE_HANDLER"}),
        ({"code/inference.py": b"(" * 100_000}, {"CODE_HANDLER"}),
        ({"code/lib/mine.py": b""}, {"CODE_HANDLER"}),
        (
            {"code/inference.py": b"def handler(d, c): ...", "code/requirements.txt": b"numpy"},
            {"CODE_REQUIREMENTS"},
        ),
        ({"code/1/saved_model.pb": b"x", "code/inference.py": b"handler = 1"}, {"LAYOUT_SEVERAL_MODELS"}),
    ],
)
def test_code_is_checked_where_the_policy_allows_it(files: dict[str, bytes], expected: set[str]) -> None:
    assert refusals(with_files(files), allow_code=True) == expected


def test_allowed_code_is_still_told() -> None:
    report = inspect(with_files({"code/inference.py": b"def handler(d, c): ..."}), allow_code=True)
    assert [check.code for check in report.warnings] == ["CODE_ALLOWED"]


@pytest.mark.parametrize(
    "path",
    [
        "sitecustomize.py",
        "1/assets/sitecustomize.py",
        "1/assets.extra/usercustomize.py",
        "sitecustomize.pyc",
        "1/sitecustomize.cpython-312-x86_64-linux-gnu.so",
        "1/assets/sitecustomize/__init__.py",
        "lib/python3.12/site-packages/evil.pth",
        "gunicorn.conf.py",
        "etc/ld.so.preload",
        ".bashrc",
    ],
)
def test_a_file_that_runs_by_its_name_alone_is_refused_without_code(path: str) -> None:
    assert refusals(with_files({path: b"import os"})) == {"CODE_PICKED_UP"}
    handler = {"code/inference.py": b"def handler(d, c): ..."}
    allowed = inspect(with_files({path: b"import os", **handler}), allow_code=True)
    assert [check.code for check in allowed.warnings] == ["CODE_ALLOWED", "CODE_LOADABLE"]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("1/assets/x.so", b"x"),
        ("1/assets/libx.so.1.2", b"x"),
        ("1/train.py", b"x"),
        ("1/train.pyc", b"x"),
        ("1/assets/weights.pth", b"x"),
        ("run.sh", b"x"),
        ("1/assets/vocabulary.txt", b"\x7fELF" + bytes(60)),
        ("1/assets/data", b"#!/bin/sh\n"),
        ("1/assets/large", b"\x7fELF" + bytes(3_000_000)),
    ],
)
def test_a_program_outside_code_is_told_and_not_refused(path: str, content: bytes) -> None:
    report = inspect(with_files({path: content}))
    assert report.refusals == ()
    assert [(check.code, check.where) for check in report.warnings] == [("CODE_LOADABLE", path)]


@pytest.mark.parametrize(
    "path",
    [
        "1/assets/vocab.txt", "1/assets/so", "1/assets/x.so.txt", "1/assets/customize.py.txt", "1/assets/sitecustomize",
        "1/assets/my_sitecustomize.txt", "1/assets/profile", "1/assets.extra/notes.md", "1/keras_metadata.pb",
        "1/fingerprint.pb", "1/assets/model.spm", "1/assets/bpe.json", "rollout.yaml",
    ],
)  # fmt: skip
def test_what_models_carry_is_not_taken_for_a_program(path: str) -> None:
    assert inspect(with_files({path: b"some text"})).warnings == ()


def test_many_programs_are_counted() -> None:
    report = inspect(with_files({f"1/assets/{number}.so": b"x" for number in range(50)}))
    assert [check.what for check in report.warnings][-1] == "and 45 more of these"


def test_names_of_outputs_are_bounded_for_the_record_keeps_them() -> None:
    outputs = {"x" * 200 + str(number): ("y", DT_FLOAT, (None,)) for number in range(200)}
    assert refusals(good_artifact(signatures={"serving_default": signature(outputs=outputs)})) == {"MODEL_SIGNATURE"}


@pytest.mark.parametrize("name", ["2", "7/empty.txt", "²", "٣"])
def test_a_numeric_name_beside_the_version_is_refused(name: str) -> None:
    assert refusals(with_files({name: b"x"})) == {"LAYOUT_STRAY_VERSION"}


def test_an_empty_numeric_directory_beside_the_version_is_refused() -> None:
    assert refusals(tar_gz(good_members(), extra=entry("7/", kind=b"5"))) == {"LAYOUT_STRAY_VERSION"}


def test_versions_that_are_the_same_number_are_two() -> None:
    assert refusals(tar_gz({**good_members("1"), **good_members("01")})) == {"LAYOUT_TWO_VERSIONS"}


@pytest.mark.parametrize("version", ["9223372036854775808", "9" * 255])
def test_a_version_above_64_bits_is_refused(version: str) -> None:
    assert refusals(good_artifact(version=version)) == {"LAYOUT_VERSION_NAME"}


def test_a_second_form_of_the_graph_is_refused() -> None:
    assert refusals(with_files({"1/saved_model.pbtxt": b"x"})) == {"LAYOUT_TEXT_MODEL"}


def test_what_serves_but_may_surprise_is_a_warning() -> None:
    assert warnings(good_artifact(tensorflow_version="2.21.0")) == {"MODEL_NEWER_TENSORFLOW"}
    assert warnings(good_artifact(signatures={"other": signature()})) == {"MODEL_NO_DEFAULT_SIGNATURE"}
    classify = signature(method="tensorflow/serving/classify")
    assert warnings(good_artifact(signatures={"serving_default": classify})) == {"MODEL_METHOD"}


def test_no_golden_requests_is_a_warning() -> None:
    members = {name: content for name, content in good_members().items() if "golden" not in name}
    assert warnings(tar_gz(members)) == {"GOLDEN_NONE"}


def test_an_asset_is_found_in_its_directory() -> None:
    members = {**good_members(assets=["vocab.txt"]), "1/assets/vocab.txt": b"a\n"}
    assert refusals(tar_gz(members)) == set()
    del members["1/assets/vocab.txt"]
    assert refusals(tar_gz(members)) == {"MODEL_ASSET"}


def test_several_problems_are_told_at_once() -> None:
    members = good_members(signatures={"serving_default": signature({"x": ("gone", DT_FLOAT, ())})}, min_consumer=9999)
    assert refusals(tar_gz({**members, "2": b"x"})) == {"MODEL_SIGNATURE", "MODEL_VERSION", "LAYOUT_STRAY_VERSION"}


def test_the_same_problem_many_times_is_counted() -> None:
    links = b"".join(entry(f"1/link{number}", kind=b"2", link="x") for number in range(100))
    found = [check.what for check in inspect(tar_gz(good_members(), extra=links)).refusals]
    assert len(found) == 6
    assert found[-1] == "and 95 more of these"


def test_names_from_the_archive_are_escaped_and_cut() -> None:
    evil = "1/\u202e\x1b[31m" + "x" * 240
    place = inspect(tar_gz(good_members(), extra=entry(evil[:90]))).refusals[0].where
    assert "\u202e" not in place
    assert "\\x1b" in place


def test_a_report_survives_json() -> None:
    for data in (good_artifact(), HOSTILE["OP_FILES"], HOSTILE["EMPTY"]):
        report = inspect(data)
        document = json.loads(json.dumps(report_to_json(report)))
        assert report_from_json(document) == report
        assert document["good"] is not bool(report.refusals)


def test_the_text_answers_first_and_says_what_to_mend() -> None:
    text = report_text(inspect(HOSTILE["TAR_ESCAPE"]))
    assert text.startswith("REFUSED: 1 refusals, 0 warnings\n  refused  TAR_ESCAPE: ")
    assert RULES["TAR_ESCAPE"].fix in text
    assert report_text(inspect(good_artifact())).startswith("GOOD: ")
    assert "Signature serving_default: x float32[?, 2] -> y float32[?, 1]" in report_text(inspect(good_artifact()))


def test_progress_tells_compressed_bytes() -> None:
    told: list[int] = []
    data = good_artifact()
    inspect_artifact(io.BytesIO(data), allow_code=False, max_size_bytes=LIMIT, progress=told.append)
    assert told[-1] == len(data)


def test_a_stream_that_gives_little_at_a_time_is_read_the_same() -> None:
    class Drip(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(7, size or 7))

    data = good_artifact()
    again = {"again": lambda: Drip(data)}
    found = inspect_artifact(Drip(data), allow_code=False, max_size_bytes=LIMIT, **again)
    assert found == inspect(data)


def test_a_failing_stream_is_not_a_bad_artifact() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        inspect_artifact(Broken(), allow_code=False, max_size_bytes=LIMIT)


def test_a_second_look_that_fails_is_not_a_bad_artifact_either() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise ConnectionResetError("gone")

    def refused() -> io.BytesIO:
        raise ConnectionRefusedError("slow down")

    members = good_members()
    # tensors before their index need the second look
    late = tar_gz(dict(sorted(members.items(), key=lambda one: "variables.index" in one[0])))
    for again, error in ((Broken, ConnectionResetError), (refused, ConnectionRefusedError)):
        with pytest.raises(error):
            inspect_artifact(io.BytesIO(late), allow_code=False, max_size_bytes=LIMIT, again=again)


def test_what_tarfile_packs_is_good() -> None:
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz", format=form) as archive:
            folder = tarfile.TarInfo("./")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
            long_name = f"1/assets/{'d' * 120}/{'f' * 200}"
            for name, content in {**good_members(), **({long_name: b"x"} if form else {})}.items():
                info = tarfile.TarInfo(f"./{name}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        assert refusals(buffer.getvalue()) == set(), form


@given(st.binary(max_size=2000), st.integers(0, 3))
def test_any_bytes_at_any_depth_are_a_report(noise: bytes, depth: int) -> None:
    if depth == 3:
        noise = tar_gz({**good_members(), "1/saved_model.pb": noise})
    elif depth == 2:
        noise = tar_gz({**good_members(), "1/variables/variables.index": noise})
    elif depth == 1:
        noise = gz(noise)
    report = inspect(noise)
    assert report.refusals or depth > 1


@given(st.integers(0, 3), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_good_artifact_with_changed_bytes_is_a_report(depth: int, changes: list[tuple[int, int]]) -> None:
    def changed(content: bytes) -> bytes:
        found = bytearray(content)
        for place, byte in changes:
            found[place % len(found)] = byte
        return bytes(found)

    members = good_members()
    if depth == 0:
        data = changed(good_artifact())
    elif depth == 1:
        data = gz(changed(tar_bytes(members)))
    else:
        name = "1/saved_model.pb" if depth == 2 else "1/variables/variables.index"
        data = tar_gz({**members, name: changed(members[name])})
    assert isinstance(inspect(data), ArtifactReport)


def test_bombs_are_refused_quickly() -> None:
    gigabyte = gz(header("1/zeros", size=2**30)) + gz(bytes(2**20)) * 1024
    many = gz(b"".join(entry(f"1/{number}") for number in range(100_000)))
    started = time.monotonic()
    assert refusals(gigabyte) == {"SIZE_RATIO"}
    assert refusals(gz(entry("1/z", b"x")) + gz(bytes(2**20)) * 1024) == {"TAR_TRAILING"}  # zeros after the end mark
    assert refusals(many) == {"TAR_ENTRIES"}
    assert time.monotonic() - started < 5


# VmHWM, since ru_maxrss remembers the process that was forked
MEMORY_PROGRAM = """
import re, sys
from modeldrop.artifact.inspect import inspect_artifact
report = inspect_artifact(open(sys.argv[1], "rb"), allow_code=False, max_size_bytes=10 * 1024**3)
kilobytes = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read()).group(1)
print(int(kilobytes) // 1024, report.version, "tensorflow" in sys.modules)
"""


def test_a_model_made_to_fill_memory_stays_under_256_mb(tmp_path: Path) -> None:
    tiny_strings = node("c", "Const", value=strings(*[b""] * (MAX_PART_BYTES // 2 - 100)))
    names = b"".join(entry("/".join(["d" * 5] * 14 + [str(number)])) for number in range(9_000))
    path = tmp_path / "model.tar.gz"
    path.write_bytes(gz(names + tar_bytes(good_members(extra_nodes=[tiny_strings])), level=0))
    done = subprocess.run([sys.executable, "-c", MEMORY_PROGRAM, str(path)], capture_output=True, text=True, check=True)
    megabytes, version, tensorflow = done.stdout.split()
    assert (version, tensorflow) == ("1", "False")
    assert int(megabytes) < 256
