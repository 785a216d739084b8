"""Which operations of a graph are refused, and why: what is not on the allowlist is, and the denylist says the reason.

operations.txt holds what may run: the operations registered in the TensorFlow that serves, less those refused here
(scripts/make_operations.py writes it). linked_operations.txt holds those of tensorflow-text, which TensorFlow Serving
links into its server and a plain TensorFlow lacks; each works on tensors and on what its attributes hold, none opens a
file. An operation that is on neither list is one TF Serving does not have.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any


def _all(code: str, what: str, names: str) -> dict[str, tuple[str, str]]:
    return dict.fromkeys(names.split(), (code, what))


# These run at load or in saving only, where the SaverDef names them; anywhere else a request could name any path.
SAVE_OPERATIONS = frozenset(
    ["Save", "SaveSlices", "SaveV2", "MergeV2Checkpoints", "ShardedFilename", "ShardedFilespec"]
)
RESTORE_OPERATIONS = frozenset(["Restore", "RestoreSlice", "RestoreV2"])
CHECKPOINT_OPERATIONS = SAVE_OPERATIONS | RESTORE_OPERATIONS

VARIABLE_OPERATIONS = frozenset(["Variable", "VariableV2", "VarHandleOp", "_VarHandlesOp"])
TABLE_FILE_OPERATIONS = frozenset(["InitializeTableFromTextFile", "InitializeTableFromTextFileV2"])

_DENIED: dict[str, tuple[str, str]] = {
    **_all("OP_FILES", "reads a file", "ReadFile WholeFileReader WholeFileReaderV2 TextLineReader TextLineReaderV2"),
    **_all("OP_FILES", "reads a file", "TFRecordReader TFRecordReaderV2 FixedLengthRecordReader LMDBReader"),
    **_all(
        "OP_FILES", "reads a file", "FixedLengthRecordReaderV2 RecordInput LoadAndRemapMatrix GenerateVocabRemapping"
    ),
    **_all("OP_FILES", "reads files as a dataset", "TextLineDataset TFRecordDataset TFRecordDatasetV2 LMDBDataset"),
    **_all("OP_FILES", "reads files as a dataset", "FixedLengthRecordDataset FixedLengthRecordDatasetV2 CSVDataset"),
    **_all("OP_FILES", "reads files as a dataset", "CSVDatasetV2 SqlDataset LoadDataset SnapshotDatasetReader"),
    **_all("OP_FILES", "reads files as a dataset", "ExperimentalCSVDataset ExperimentalSqlDataset"),
    **_all(
        "OP_FILES",
        "reads files as a dataset",
        "ExperimentalLMDBDataset SnapshotNestedDatasetReader ListSnapshotChunksDataset",
    ),
    **_all("OP_FILES", "lists files", "MatchingFiles MatchingFilesDataset ExperimentalMatchingFilesDataset"),
    **_all("OP_FILES", "writes a file", "WriteFile CacheDataset CacheDatasetV2 SaveDataset SaveDatasetV2"),
    **_all("OP_FILES", "writes a file", "SnapshotDataset SnapshotDatasetV2 SnapshotChunkDataset DatasetToTFRecord"),
    **_all("OP_FILES", "writes a file", "ExperimentalDatasetToTFRecord CreateSummaryFileWriter CreateSummaryDbWriter"),
    **_all("OP_FILES", "writes a file", "DistributedSave"),
    **_all("OP_FILES", "writes a summary", "WriteSummary WriteScalarSummary WriteHistogramSummary WriteImageSummary"),
    **_all("OP_FILES", "writes a summary", "WriteAudioSummary WriteGraphSummary WriteRawProtoSummary ImportEvent"),
    **_all("OP_FILES", "writes a summary", "StatsAggregatorSetSummaryWriter"),
    **_all("OP_CODE", "runs Python", "PyFunc PyFuncStateless EagerPyFunc"),
    **_all("OP_CODE", "calls native code by name", "XlaCustomCall XlaCustomCallV2"),
    **_all("OP_CODE", "stops the server", "Abort"),
    **_all("OP_GRAPH", "loads a graph from data", "DatasetFromGraph DeserializeIterator"),
    **_all("OP_GRAPH", "hands a graph to another server", "RegisterDataset RegisterDatasetV2"),
    **_all("OP_NETWORK", "talks to another server", "DataServiceDataset DataServiceDatasetV2 DataServiceDatasetV3"),
    **_all("OP_NETWORK", "talks to another server", "DataServiceDatasetV4 RemoteCall RpcCall RpcServer RpcClient"),
    **_all("OP_NETWORK", "sends tensors to a URL", "DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNanCount"),
    **_all("OP_NETWORK", "sends tensors to a URL", "DebugNumericSummary DebugNumericSummaryV2"),
    **_all("OP_NETWORK", "configures storage", "FileSystemSetConfiguration"),
    **_all("OP_NETWORK", "starts or stops accelerators of a cluster", "WorkerHeartbeat"),
    **_all("OP_FILES", "writes a file", "DumpTensor CalibrationStatisticsSaver"),
    **_all("OP_FILES", "reads a file", "Skipgram NegTrain"),
    **_all("OP_CODE", "runs a compiled module", "XlaCallModule"),
    # TF Serving links these, too, but their model is a directory that the graph names, by text it may put together
    **_all(
        "OP_FILES",
        "loads a decision forest from files, which is not followed: serve it without modeldrop, or train a neural one",
        "SimpleMLLoadModelFromPath SimpleMLLoadModelFromPathWithHandle",
    ),
    **_all("OP_CODE", "keeps a thread of the server busy", "SleepOp SleepIdentityOp"),
}
# whole families, by name; the first that matches says the reason
_CLASSES = tuple(
    (re.compile(pattern), code, what)
    for pattern, code, what in (
        (r"_", "OP_CODE", "is internal to TensorFlow's runtime, no exported model has it"),
        (r".*(TPU|Tpu)", "OP_NETWORK", "needs a TPU system, which it would configure"),
        (r"XlaSparse(Core|DenseMatmul)", "OP_NETWORK", "needs a TPU system"),
        (r"DTensor", "OP_NETWORK", "moves tensors between machines"),
        (r"(Collective|Nccl)[A-Z]", "OP_NETWORK", "moves tensors between devices or machines"),
        (r"Rpc|DeleteRpc", "OP_NETWORK", "talks to another server"),
        (r"Xla(Send|Recv|HostCompute)|Send$|Recv$", "OP_NETWORK", "sends tensors elsewhere"),
    )
)


@cache
def allowed() -> frozenset[str]:
    """Names of the operations a model may have."""
    return _names("operations.txt") | linked()


@cache
def linked() -> frozenset[str]:
    """Names of the operations among them that TF Serving has and a plain TensorFlow lacks."""
    return _names("linked_operations.txt")


def _names(file: str) -> frozenset[str]:
    lines = Path(__file__).with_name(file).read_text().splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


def reason(operation: str) -> tuple[str, str] | None:
    """(code, what it does) of an operation that is refused whatever its attributes; None where it is not."""
    denied = _DENIED.get(operation)
    if denied is None:
        denied = next(((code, what) for pattern, code, what in _CLASSES if pattern.match(operation)), None)
    return denied


def refusal(operation: str, attributes: Any) -> tuple[str, str] | None:
    """(code, what it does) where the operation is refused wherever it stands; None where it is not.

    attributes: the node's attr map. Checkpoint and table operations depend on the rest of the graph: see graph.py.
    """
    if operation in allowed():
        return _refusal_by_attributes(operation, attributes)
    # families wait until the functions are known: a function's name may look like anything, and its body is judged
    return _DENIED.get(operation)


def _refusal_by_attributes(operation: str, attributes: Any) -> tuple[str, str] | None:
    if operation == "PrintV2" and _text(attributes, "output_stream").startswith("file:"):
        return "OP_FILES", "prints into a file"
    if operation == "FixedUnigramCandidateSampler" and _text(attributes, "vocab_file"):
        return "OP_FILES", "reads a file"
    if operation in ("DecodeProtoV2", "EncodeProto"):
        source = _text(attributes, "descriptor_source")
        if source not in ("", "local://") and not source.startswith("bytes://"):
            return "OP_FILES", "reads descriptors from a file"
    return None


def _text(attributes: Any, name: str) -> str:
    return attributes[name].s.decode("utf-8", "replace") if name in attributes else ""
