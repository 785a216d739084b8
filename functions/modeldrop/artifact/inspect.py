"""One forward pass over model.tar.gz: is it safe to unpack, can TF Serving load it, and what does it answer.

Nothing is extracted and no TensorFlow is loaded; memory stays under 256 MB whatever the input. The order of the checks
is the order of the bytes: gzip, tar, then layout, SavedModel, variables and golden requests of what the tar held.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from modeldrop.artifact.findings import FatalFindingError, Findings, shown
from modeldrop.artifact.fit import Need, check_fit
from modeldrop.artifact.golden import MAX_GOLDEN_BYTES, GoldenRequest, parse_golden
from modeldrop.artifact.gzip_stream import GzipReader
from modeldrop.artifact.language import Breaking, Live, check_language
from modeldrop.artifact.layout import MODEL_FILE, Layout, check_code, find_model, is_version
from modeldrop.artifact.report import ArtifactReport
from modeldrop.artifact.saved_model import SavedModel, read_saved_model
from modeldrop.artifact.tar_stream import Member, TarReader
from modeldrop.artifact.tensor_sums import check_shard
from modeldrop.artifact.variables import INDEX_NAME, MAX_INDEX_BYTES, check_variables, read_index
from modeldrop.artifact.warmup import MAX_WARMUP_BYTES, WARMUP_NAME, check_warmup, records
from modeldrop.artifact.warmup_requests import predict_requests
from modeldrop.artifact.wire_stream import UnreadableError
from modeldrop.errors import ArtifactRejectedError

GOLDEN_NAME = "assets.extra/golden.jsonl"
HANDLER_NAME = "code/inference.py"
MAX_HANDLER_BYTES = 1024 * 1024
SHARD = re.compile(r"/variables/variables\.data-(\d{5})-of-(\d{5})$", re.ASCII)
# a good archive has one of each; a few more are kept so that a stray one does not hide it
MAX_KEPT = 3


@dataclass
class _Contents:
    """What is remembered of the members."""

    files: dict[str, int] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)
    kept: dict[str, dict[str, bytes]] = field(default_factory=dict)
    model_path: str = ""
    model: SavedModel | None = None
    summed: dict[str, int] = field(default_factory=dict)

    def take(self, member: Member, findings: Findings) -> None:
        """Note a member, and read it if its content matters."""
        parent = posixpath.dirname(member.path)
        while parent and parent not in self.directories:
            self.directories.add(parent)
            parent = posixpath.dirname(parent)
        if not member.is_file:
            self.directories.add(member.path)
            return
        self.files[member.path] = member.size
        if not self.model_path and re.fullmatch(rf"(.*/)?[0-9]+/{re.escape(MODEL_FILE)}", member.path):
            self.model_path = member.path
            self.model = read_saved_model(member, findings)
        elif SHARD.search(member.path):
            self.sum_shard(member, findings)
        elif member.path == HANDLER_NAME:
            self._keep(HANDLER_NAME, member, MAX_HANDLER_BYTES)
        else:
            for name, limit in (
                (INDEX_NAME, MAX_INDEX_BYTES),
                (GOLDEN_NAME, MAX_GOLDEN_BYTES),
                (WARMUP_NAME, MAX_WARMUP_BYTES),
            ):
                directory = member.path.removesuffix(f"/{name}")
                if directory != member.path and is_version(posixpath.basename(directory)):
                    self._keep(name, member, limit)

    def _keep(self, kind: str, member: Member, limit: int) -> None:
        kept = self.kept.setdefault(kind, {})
        if len(kept) < MAX_KEPT and member.size <= limit:
            kept[member.path] = member.read(member.size)

    def sum_shard(self, member: Member, findings: Findings) -> None:
        """Compare the checksums of a data file's tensors, where the index came before it."""
        from google.protobuf.message import DecodeError

        found = SHARD.search(member.path)
        index = self.content(INDEX_NAME, f"{member.path[: found.start()]}/{INDEX_NAME}") if found else None
        if found is None or index is None:
            return
        try:
            read = read_index(index)
        except (UnreadableError, DecodeError):
            return  # has its own finding
        if int(found[2]) == read.shards:
            self.summed[member.path] = check_shard(read, int(found[1]), member.path, member, findings)

    def content(self, kind: str, path: str) -> bytes | None:
        """A kept file's bytes; None where it was too large or not there."""
        return self.kept.get(kind, {}).get(path)


class _Input:
    """The given stream, which remembers that reading it failed: that is not the archive's fault, the caller retries."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.failed = False

    def read(self, at_most: int = -1) -> bytes:
        try:
            return self._stream.read(at_most)
        except Exception:
            self.failed = True
            raise

    @contextmanager
    def once_more(self, again: Callable[[], BinaryIO]) -> Iterator[_Input]:
        """Open the same bytes anew; that they could not be read is remembered here, too."""
        try:
            stream = again()
        except Exception:
            self.failed = True
            raise
        second = _Input(stream)
        with stream:
            try:
                yield second
            finally:
                self.failed = self.failed or second.failed


@dataclass
class _Answers:
    """Facts about the model for the report."""

    layout: Layout | None = None
    variable_bytes: int = 0
    golden: tuple[GoldenRequest, ...] = ()


def inspect_artifact(
    stream: BinaryIO,
    *,
    allow_code: bool,
    max_size_bytes: int,
    progress: Callable[[int], None] | None = None,
    again: Callable[[], BinaryIO] | None = None,
    live: Live | None = None,
    breaking: Breaking = "refuse",
    instance_type: str = "",
    each_file: Callable[[str], Callable[[bytes], object]] | None = None,
) -> ArtifactReport:
    """Read the artifact once, forward only, and report everything found.

    stream: anything with read(n), such as an S3 body; what it raises is passed on. allow_code: policy artifact.code.
    max_size_bytes: policy artifact.max_size; the content may be four times that. progress: compressed bytes used.
    again: opens the same bytes once more, for archives with tensors before their index. live: the release to compare
    serving signatures with. breaking: what becomes of a change that breaks callers. instance_type: what it must fit on,
    "" for any. each_file: given a file's path, returns who takes its bytes.
    A hostile or broken artifact is a report with refusals, never an exception.
    """
    findings, contents, answers = Findings(), _Contents(), _Answers()
    given = _Input(stream)
    source = GzipReader(given, findings, max_size_bytes, progress)  # type: ignore[arg-type]  # it only reads
    archive = TarReader(source, findings)
    with closing(source):
        try:
            for member in archive.members():
                member.tap = each_file(member.path) if each_file and member.is_file else None
                contents.take(member, findings)
            findings.add("GZIP_OK", f"{source.members} gzip member{'s' * (source.members > 1)}")
            if not findings.has("TAR_"):
                findings.add("TAR_OK", f"{archive.entries} entries")
                answers = _check_contents(contents, findings, allow_code)
                if not findings.has(""):
                    _check_tensors(contents, given, again, max_size_bytes, source.sha256, findings)
                if contents.model is not None and live is not None:
                    check_language(live, contents.model.signatures, findings, breaking)
                if contents.model is not None and instance_type:
                    sizes = answers.variable_bytes, contents.model.constant_bytes
                    check_fit(Need(*sizes, source.size_bytes, source.uncompressed_bytes), instance_type, findings)
        except FatalFindingError:
            pass  # the findings hold the reason
        except Exception as error:
            if given.failed:
                raise
            # a defect of ours: what could not be checked is refused, never served, and never a crash of the release
            findings.add("INTERNAL_UNREADABLE", f"{type(error).__name__}: {shown(str(error))}")
    model = contents.model
    return ArtifactReport(
        checks=findings.checks(),
        sha256=source.sha256,
        size_bytes=source.size_bytes,
        uncompressed_bytes=source.uncompressed_bytes,
        entries=archive.entries,
        model_name=shown(answers.layout.model_name) if answers.layout else "",
        version=answers.layout.version if answers.layout else None,
        tensorflow_version=model.tensorflow_version if model else "",
        serving_signatures=model.signatures if model else {},
        variable_bytes=answers.variable_bytes,
        constant_bytes=model.constant_bytes if model else 0,
        golden=answers.golden,
    )


def _check_tensors(
    contents: _Contents,
    given: _Input,
    again: Callable[[], BinaryIO] | None,
    max_size_bytes: int,
    sha256: str,
    findings: Findings,
) -> None:
    """Compare what could not be compared in the first pass, because the data came before the index."""
    late = {path for path in contents.files if SHARD.search(path)} - contents.summed.keys()
    if late and again is not None:
        second = Findings()
        with given.once_more(again) as stream:
            source = GzipReader(stream, second, max_size_bytes, None)  # type: ignore[arg-type]  # it only reads
            for member in TarReader(source, second).members():
                if member.path in late:
                    contents.sum_shard(member, findings)
        if source.sha256 != sha256:
            findings.add("GZIP_CORRUPT", "a second look at it found other bytes")
        late -= contents.summed.keys()
    left_out = sum(contents.summed.values())
    if late:
        findings.add("VARIABLES_UNSUMMED", f"{len(late)} data files came before their index", min(late))
    elif left_out:
        findings.add("VARIABLES_UNSUMMED", f"{left_out} tensors of a type or size that is not summed")


def _check_contents(contents: _Contents, findings: Findings, allow_code: bool) -> _Answers:
    answers = _Answers()
    check_code(contents.files, contents.content(HANDLER_NAME, HANDLER_NAME), allowed=allow_code, findings=findings)
    answers.layout = find_model(contents.files, frozenset(contents.directories), findings)
    if answers.layout is None:
        return answers
    directory = answers.layout.directory
    if not findings.has("LAYOUT_", "CODE_"):
        findings.add(
            "LAYOUT_OK", f"model {shown(answers.layout.model_name)}, version {answers.layout.version}", directory
        )
    if contents.model is not None:
        _check_assets(directory, contents, contents.model, findings)
        if not findings.has("MODEL_"):
            findings.add("MODEL_OK", f"{len(contents.model.signatures)} serving signatures")
        if not findings.has("OP_"):
            findings.add("OPS_OK", "no refused operation in any graph or function")
        answers.variable_bytes = _check_variables(directory, contents, contents.model, findings)
    answers.golden = _read_golden(directory, contents, _read_warmup(directory, contents, findings), findings)
    return answers


def _check_assets(directory: str, contents: _Contents, model: SavedModel, findings: Findings) -> None:
    for asset in model.assets:
        path = f"{directory}/assets/{asset}"
        if asset.startswith("/") or ".." in asset.split("/"):
            findings.add("MODEL_ASSET", "an asset outside assets/", asset)
        elif path not in contents.files:
            findings.add("MODEL_ASSET", "the asset's file is not in the archive", path)


def _check_variables(directory: str, contents: _Contents, model: SavedModel, findings: Findings) -> int:
    path = f"{directory}/{INDEX_NAME}"
    index = contents.content(INDEX_NAME, path)
    if index is None:
        if path in contents.files:
            findings.add("VARIABLES_INDEX", f"{contents.files[path]:,} bytes; allowed: {MAX_INDEX_BYTES:,}", path)
        elif model.has_variables:
            findings.add("VARIABLES_MISSING", "the graph has variables and no values for them", path)
        return 0
    total = check_variables(directory, index, contents.files, findings)
    if not findings.has("VARIABLES_"):
        findings.add("VARIABLES_OK", f"{total:,} bytes of tensors")
    return total


def _read_warmup(directory: str, contents: _Contents, findings: Findings) -> tuple[GoldenRequest, ...]:
    """Check the warm-up file and return its predict requests, which have no answers."""
    path = f"{directory}/{WARMUP_NAME}"
    content = contents.content(WARMUP_NAME, path)
    if content is not None and contents.model is not None:
        check_warmup(content, contents.model.signatures, path, findings)
        return () if findings.has("WARMUP_INVALID") else predict_requests(records(content))
    if path in contents.files and content is None:
        findings.add("WARMUP_INVALID", f"{contents.files[path]:,} bytes; read: {MAX_WARMUP_BYTES:,}", path)
    return ()


def _read_golden(
    directory: str, contents: _Contents, warmup: tuple[GoldenRequest, ...], findings: Findings
) -> tuple[GoldenRequest, ...]:
    """Return the golden requests, or else those of the warm-up file, to which any answer but an error is right."""
    path = f"{directory}/{GOLDEN_NAME}"
    text = contents.content(GOLDEN_NAME, path)
    if text is None:
        if path in contents.files:
            findings.add("GOLDEN_INVALID", f"{contents.files[path]:,} bytes; allowed: {MAX_GOLDEN_BYTES:,}", path)
        elif warmup:
            findings.add("GOLDEN_OK", f"{len(warmup)} requests of the warm-up file, whose answers are not known")
            return warmup
        else:
            findings.add("GOLDEN_NONE", "no golden requests", path)
        return ()
    try:
        requests = parse_golden(text)
    except ArtifactRejectedError as error:
        for problem in error.problems:
            findings.add("GOLDEN_INVALID", problem.what, f"{path}, {problem.where}")
        return ()
    findings.add("GOLDEN_OK", f"{len(requests)} golden requests")
    return requests
