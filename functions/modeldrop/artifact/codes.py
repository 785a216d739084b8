"""Every code an artifact check can have, why it exists and what to do: the source of docs/artifact-checks.md."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Rule:
    """What a code means. result: what a finding with it does. why: the reason, once. fix: what to do next."""

    result: Literal["ok", "refused", "warned"]
    why: str
    fix: str = ""


_REPACK = "Make the archive again: `modeldrop package DIR`, or `tar czf model.tar.gz 1/`."
_PLAIN = "Keep regular files and directories only; `tar czf` with --dereference writes what a link points to."
_EXPORT = "Export the model again with `tf.saved_model.save` or `model.export` and package it."
_LAYOUT = "Lay it out as `1/saved_model.pb`, `1/variables/...`."
_NO_FILES = "Take this operation out of the graph: a model gets its input from the request and its data from variables."
_SIGN = "Sign it and upload both: `modeldrop package DIR --sign KEY.pem`, then `modeldrop drop`."

RULES: dict[str, Rule] = {
    # gzip
    "GZIP_OK": Rule("ok", "Every gzip member was read to its end, its CRC32 and length agree."),
    "EMPTY": Rule("refused", "The object has no bytes: an upload was cut off or a redirect wrote nothing.", _REPACK),
    "GZIP_NOT_GZIP": Rule("refused", "The object does not start as gzip: SageMaker would not unpack it.", _REPACK),
    "GZIP_HEADER": Rule("refused", "A gzip header uses what RFC 1952 reserves, or has no end.", _REPACK),
    "GZIP_TRUNCATED": Rule("refused", "The gzip stream ends too early.", "Upload the whole file again."),
    "GZIP_CORRUPT": Rule(
        "refused", "The compressed data, its CRC32 or its length is wrong.", "Make the archive again and upload it."
    ),
    "GZIP_TRAILING": Rule(
        "refused", "Bytes follow the gzip stream: another reader could see another archive.", _REPACK
    ),
    "GZIP_MEMBERS": Rule("refused", "Very many tiny gzip members: only made to keep a reader busy.", _REPACK),
    "SIZE_COMPRESSED": Rule(
        "refused", "model.tar.gz is larger than the policy allows.", "Raise artifact.max_size in rollout.yaml."
    ),
    "SIZE_UNCOMPRESSED": Rule(
        "refused",
        "The content is larger than four times artifact.max_size: it would fill the endpoint's disk.",
        "Raise artifact.max_size in rollout.yaml, or remove what the model does not need.",
    ),
    "SIZE_RATIO": Rule(
        "refused",
        "The content is more than 200 times the size of the archive: weights do not compress like that, a bomb does.",
        "Remove large empty files from the archive.",
    ),
    # tar
    "TAR_OK": Rule("ok", "The archive holds regular files and directories only, all below its root, no name twice."),
    "TAR_NOT_TAR": Rule("refused", "The content is not a tar archive.", _REPACK),
    "TAR_TRUNCATED": Rule("refused", "The archive ends inside a member or without its end mark.", _REPACK),
    "TAR_TRAILING": Rule("refused", "Data follows the end of the archive, where readers disagree.", _REPACK),
    "TAR_HEADER": Rule("refused", "A tar header is malformed: checksum, number or field order.", _REPACK),
    "TAR_LINK": Rule("refused", "A link may point outside the model's directory.", _PLAIN),
    "TAR_DEVICE": Rule("refused", "A device, pipe or socket is never part of a model.", _PLAIN),
    "TAR_TYPE": Rule(
        "refused", "A member type that readers treat differently (sparse, multi-volume, unknown).", _PLAIN
    ),
    "TAR_ABSOLUTE": Rule("refused", "An absolute name would be written outside the model's directory.", _REPACK),
    "TAR_ESCAPE": Rule("refused", "A name with `..` would be written outside the model's directory.", _REPACK),
    "TAR_NAME": Rule(
        "refused",
        "A name has control characters, a backslash, empty parts, bytes that are not UTF-8, or is too long or deep.",
        "Rename the file.",
    ),
    "TAR_DUPLICATE": Rule(
        "refused",
        "Two members have the same name, or names that differ in case or Unicode form only: which one wins is chance.",
        "Remove or rename one.",
    ),
    "TAR_FILE_AS_DIRECTORY": Rule("refused", "A member lies below another one that is a file.", "Rename one."),
    "TAR_PAX": Rule(
        "refused", "An extended header is malformed, too large, or sets what readers disagree on.", _REPACK
    ),
    "TAR_ENTRIES": Rule(
        "refused", "More entries, or longer names in all, than a model has.", "Remove what is not used."
    ),
    # layout
    "LAYOUT_OK": Rule("ok", "Exactly one version of one model lies where TF Serving looks for it."),
    "LAYOUT_NO_MODEL": Rule("refused", "No saved_model.pb in the archive.", _EXPORT),
    "LAYOUT_AT_ROOT": Rule(
        "refused", "saved_model.pb lies at the root; TF Serving looks in numbered directories.", _LAYOUT
    ),
    "LAYOUT_VERSION_NAME": Rule(
        "refused", "The directory of saved_model.pb is not a whole number, such as `v1`.", _LAYOUT
    ),
    "LAYOUT_TEXT_MODEL": Rule(
        "refused", "The model is saved as text or in parts (.pbtxt, .cpb), which the container does not find.", _EXPORT
    ),
    "LAYOUT_NOT_SAVED_MODEL": Rule(
        "refused", "There is a Keras, HDF5, TFLite or ONNX file instead of a SavedModel.", _EXPORT
    ),
    "LAYOUT_TWO_VERSIONS": Rule(
        "refused", "Several versions: all are loaded into the GPU's memory, the largest number answers.", "Keep one."
    ),
    "LAYOUT_SEVERAL_MODELS": Rule(
        "refused", "Several models: which one answers would be chance.", "Package each model for its own endpoint."
    ),
    "LAYOUT_STRAY_VERSION": Rule(
        "refused",
        "A numeric name beside the version directory: TF Serving takes it for a version, and waits for it in vain.",
        "Remove or rename it.",
    ),
    "CODE_REFUSED": Rule(
        "refused",
        "code/ runs as Python on the endpoint, and the policy does not allow it.",
        "Remove code/, or set artifact: {code: allow} in rollout.yaml.",
    ),
    "CODE_REQUIREMENTS": Rule(
        "refused",
        "code/requirements.txt is installed by pip at container start, which fails under network isolation.",
        "Put the packages into code/lib and remove requirements.txt.",
    ),
    "CODE_HANDLER": Rule(
        "refused",
        "code/inference.py is missing, unreadable, or defines neither handler nor input_handler and output_handler.",
        "Define handler(data, context), or both input_handler and output_handler.",
    ),
    "CODE_PICKED_UP": Rule(
        "refused",
        "Python, gunicorn, the shell or the loader runs a file of this name by itself where it finds it, and the "
        "policy does not allow code.",
        "Remove or rename it, or set artifact: {code: allow} in rollout.yaml.",
    ),
    "CODE_LOADABLE": Rule(
        "warned",
        "A file outside code/ is a program or a library by its name or its first bytes. Nothing runs it, and a "
        "SavedModel has no use for it.",
        "Leave it out of the archive unless you know why it is there.",
    ),
    "CODE_ALLOWED": Rule("warned", "The archive brings Python code; the policy allows it, nobody has read it."),
    # SavedModel
    "MODEL_OK": Rule("ok", "saved_model.pb was read to its end, has the serve tag and can be called."),
    "MODEL_UNREADABLE": Rule("refused", "saved_model.pb is not a SavedModel protocol buffer.", _EXPORT),
    "MODEL_TOO_LARGE": Rule(
        "refused",
        "saved_model.pb, or a part of it, is larger than can be checked.",
        "Keep weights in variables, not in constants of the graph.",
    ),
    "MODEL_NO_SERVE_TAG": Rule("refused", "No graph has the tag `serve`, the only one TF Serving loads.", _EXPORT),
    "MODEL_NO_SIGNATURE": Rule(
        "refused", "The model has no serving signature: nothing could call it.", "Export it with signatures={...}."
    ),
    "MODEL_SIGNATURE": Rule(
        "refused",
        "A serving signature names a tensor that the graph does not have, or its names are too long.",
        _EXPORT,
    ),
    "MODEL_NO_DEFAULT_SIGNATURE": Rule(
        "warned", "No signature is called serving_default: each request must name one.", "Name one serving_default."
    ),
    "MODEL_METHOD": Rule(
        "warned", "A signature is not for predict: requests must use another URL or tfs-method.", "Export for predict."
    ),
    "MODEL_NEWER_TENSORFLOW": Rule(
        "warned",
        "The model was written by a newer TensorFlow than serves it: operations may be unknown there.",
        "Train with the serving image's minor version; the rehearsal decides.",
    ),
    "MODEL_VERSION": Rule(
        "refused", "The model says that this TensorFlow Serving may not load it.", "Export with an older TensorFlow."
    ),
    "MODEL_ASSET": Rule(
        "refused", "An asset is named outside assets/, or its file is missing from the archive.", _EXPORT
    ),
    # operations
    "OPS_OK": Rule(
        "ok", "Every operation is on the allowlist: none reads or writes files, runs Python, or loads another graph."
    ),
    "OP_FILES": Rule("refused", "An operation reads, writes or lists files of the endpoint.", _NO_FILES),
    "OP_CODE": Rule("refused", "An operation runs code that is not in the graph, or stops the server.", _NO_FILES),
    "OP_GRAPH": Rule(
        "refused", "An operation loads a graph from data, which no check of this graph can see.", _NO_FILES
    ),
    "OP_NETWORK": Rule("refused", "An operation sends data elsewhere or configures storage.", _NO_FILES),
    "OP_UNKNOWN": Rule(
        "refused",
        "An operation is not one of the serving TensorFlow's: a custom operation, which fails at load.",
        "Express it with TensorFlow's own operations, or export from the TensorFlow version that serves.",
    ),
    "OP_LINKED": Rule(
        "warned",
        "TF Serving 2.20 has tensorflow-text's operations built in; a plain TensorFlow, as in the local cloud, has not "
        "and cannot load the model.",
        "On an image of your own see that its server is built with tensorflow-text.",
    ),
    "OP_CHECKPOINT": Rule(
        "refused",
        "Checkpoints are read or written outside the SaverDef's own operations: a request could name any path.",
        _NO_FILES,
    ),
    "OP_TABLE": Rule(
        "refused",
        "A lookup table reads a text file that is not an asset of the model: it would be one of the endpoint's.",
        "Export the vocabulary as an asset (tf.saved_model.Asset).",
    ),
    # variables
    "VARIABLES_OK": Rule("ok", "The variables' index agrees with the data files in number and size."),
    "VARIABLES_MISSING": Rule(
        "refused", "The graph has variables, but variables/variables.index is not there.", _EXPORT
    ),
    "VARIABLES_INDEX": Rule("refused", "variables/variables.index cannot be read.", _EXPORT),
    "VARIABLES_SHARDS": Rule(
        "refused", "Data files of the variables are missing, too many, or of another size than the index says.", _EXPORT
    ),
    "VARIABLES_TENSOR": Rule("refused", "The index describes a tensor that cannot be: size, place or type.", _EXPORT),
    "VARIABLES_CHECKSUM": Rule(
        "refused",
        "A tensor's bytes are not those that were saved: its CRC32C differs. The model would load and answer wrongly.",
        "Export or copy the model again.",
    ),
    "VARIABLES_UNSUMMED": Rule(
        "warned",
        "Tensors whose checksum was not compared: of a type or size that is not summed, or the data came before the "
        "index in an input that can be read only once.",
        "`modeldrop package` writes the index first.",
    ),
    # warm-up
    "WARMUP_OK": Rule("ok", "Every warm-up request can be read and fits a serving signature."),
    "WARMUP_INVALID": Rule(
        "refused",
        "TF Serving replays the warm-up file at load, and a record that cannot be read or answered fails the load.",
        "Write assets.extra/tf_serving_warmup_requests again for this model, or leave it out.",
    ),
    # the live release's language
    "SERVING_OK": Rule("ok", "Whoever calls the live release can call this one."),
    "SERVING_BREAKING": Rule(
        "refused",
        "The live release's serving signature changed: requests of today would fail, or answers lack what is read.",
        "Keep the names, types and shapes that are live, or set artifact: {breaking: allow} in rollout.yaml.",
    ),
    "SERVING_BREAKING_ALLOWED": Rule(
        "warned",
        "The serving signature breaks callers of the live release, and the policy allows it (breaking: allow).",
    ),
    "SERVING_BREAKING_RESTORED": Rule(
        "warned",
        "The serving signature breaks callers of the live release, and a roll back that an operator asked for may.",
        "Callers that came to rely on the live release's form must go back, too.",
    ),
    "SERVING_WIDER": Rule("warned", "The serving signature changed in a way that requests of today survive."),
    "SERVING_NO_LIVE": Rule(
        "warned",
        "The live release's artifact.json is missing or unreadable: nobody compared the serving signatures.",
        "Compare by hand: modeldrop validate NEW --against LIVE.",
    ),
    # fit
    "FIT_OK": Rule("ok", "The least memory the model needs is less than the instance has; activations are not known."),
    "FIT_GPU": Rule(
        "refused",
        "Variables and constants alone do not leave one GPU enough memory; TF Serving uses one GPU a process.",
        "Take an instance type with more memory for each GPU, or a smaller model.",
    ),
    "FIT_MEMORY": Rule(
        "refused", "Variables and constants alone need more memory than the host has.", "Take a larger instance type."
    ),
    "FIT_DISK": Rule(
        "refused",
        "The archive and what it unpacks to need more disk than the instance has.",
        "Take an instance type with a larger disk, or a smaller model.",
    ),
    "FIT_VOLUME": Rule(
        "warned",
        "The instance type keeps the model on an EBS volume whose default size is not in our table.",
        "Compare with SageMaker's list of host instance storage volumes.",
    ),
    "FIT_UNKNOWN_TYPE": Rule(
        "warned", "The instance type is not in our table, so nobody compared sizes.", "Compare them by hand."
    ),
    # defects of this program
    "INTERNAL_UNREADABLE": Rule(
        "refused",
        "A check of ours broke on this archive: what could not be checked is not served.",
        "Make the archive again; if that does not help, report the archive's kind and this message.",
    ),
    # golden requests
    "GOLDEN_OK": Rule("ok", "The golden requests can be read."),
    "GOLDEN_INVALID": Rule(
        "refused",
        "assets.extra/golden.jsonl cannot be read, so the model could not be probed with it.",
        'Write one {"request": {...}, "response": {...}} a line.',
    ),
    "GOLDEN_NONE": Rule(
        "warned",
        "There are no golden requests: the rehearsal can only see that the model starts.",
        "Add requests with their answers: `modeldrop package DIR --golden golden.jsonl`.",
    ),
    # artifact signature
    "SIGNATURE_OK": Rule("ok", "The policy's key signed exactly the files of the archive."),
    "SIGNATURE_MISSING": Rule("refused", "The policy asks for a signature, and none lies beside the artifact.", _SIGN),
    "SIGNATURE_BUNDLE": Rule("refused", "The signature is not a complete model-signing bundle.", _SIGN),
    "SIGNATURE_KEY": Rule(
        "refused",
        "The public key that the policy names cannot be read or used.",
        "Keep the PEM of a P-256, P-384 or P-521 public key in the String parameter, or name a KMS key of that kind.",
    ),
    "SIGNATURE_INVALID": Rule(
        "refused", "The bundle was not signed with the policy's key, or was altered afterwards.", _SIGN
    ),
    "SIGNATURE_CHANGED": Rule("refused", "A file of the archive is not the one that was signed.", _SIGN),
    "SIGNATURE_ADDED": Rule("refused", "The archive has a file that nobody signed, wherever it lies.", _SIGN),
    "SIGNATURE_REMOVED": Rule("refused", "A signed file is missing, or has another name.", _SIGN),
    "SIGNATURE_REPLAYED": Rule(
        "refused",
        "The signed model is older than the live one: it was dropped here before the live release was.",
        "To go back on purpose use `modeldrop rollback ENDPOINT --to RELEASE`.",
    ),
    "SIGNATURE_OLDER": Rule(
        "warned", "The signed model is older than the live one, and a roll back that an operator asked for may be."
    ),
}


def as_markdown() -> str:
    """The page docs/artifact-checks.md."""
    lines = [
        "# Artifact checks",
        "",
        "Every code that `modeldrop validate` and the ValidateArtifact state can give. Refused: the release ends as",
        "`rejected`, before anything is created. Warned: it goes on, and the evidence card says so. Written by",
        "`python -m modeldrop.artifact.codes`; a test keeps the page current.",
        "",
        "| code | result | why | what to do |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{code}` | {rule.result} | {rule.why} | {rule.fix} |" for code, rule in RULES.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
