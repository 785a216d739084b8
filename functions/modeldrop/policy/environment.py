"""Which variables a policy may give the model's container, and what each may hold.

Source: aws/deep-learning-containers at e0ecede, scripts/docker/tensorflow/inference (TensorFlow Serving 2.20):
dockerd_entrypoint.sh, sagemaker/serve.py, tfs_utils.py and python_service.py. They put values unquoted into nginx.conf,
batching-config.cfg and command lines, so a value is a number or a word of a list, or has a pattern without blanks and
metacharacters. Loaders, shells and interpreters there take code from many variables: what is not listed is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_ENVIRONMENT_ENTRIES = 100
MAX_ENVIRONMENT_BYTES_EACH = 1024
MAX_ENVIRONMENT_BYTES = 32 * 1024
# names that belong to the model's own code: nothing in the container reads them
APPLICATION_PREFIX = "APP_"
# the last group is for Python, whose $ also matches before a last line feed
APPLICATION_NAME = r"^APP_[a-zA-Z0-9_]{1,100}$(?!\n)"


@dataclass(frozen=True)
class Variable:
    """One variable that the container reads.

    pattern: of the whole value. low, high: the range of a whole number, where it is one. tunes: its value is a number
    or a word of a closed list, which can change speed and memory only.
    """

    text: str
    allowed: str
    pattern: str
    low: int | None = None
    high: int | None = None
    tunes: bool = True

    def json_schema(self) -> dict[str, Any]:
        """Return the value's schema; the range of a number in text is a keyword of ours."""
        whole = {} if self.low is None else {"x-whole": {"minimum": self.low, "maximum": self.high}}
        allowed = f'{self.allowed}, in quotes: "..."'
        description = f"{self.text} Allowed: {self.allowed}."
        return {"type": "string", "description": description, "pattern": self.pattern, **whole, "x-allowed": allowed}


def _whole(text: str, low: int, high: int) -> Variable:
    return Variable(text, f"a whole number from {low} to {high}", r"^(0|[1-9][0-9]{0,8})$", low, high)


def _words(text: str, *words: str) -> Variable:
    return Variable(text, f"{', '.join(words[:-1])} or {words[-1]}", f"^({'|'.join(words)})$")


VARIABLES: Mapping[str, Variable] = {
    # serve.py and tfs_utils.py: TensorFlow Serving
    "SAGEMAKER_TFS_ENABLE_BATCHING": _words("Server-side batching.", "true", "false"),
    "SAGEMAKER_TFS_MAX_BATCH_SIZE": _whole("Largest batch.", 1, 1_000_000),
    "SAGEMAKER_TFS_BATCH_TIMEOUT_MICROS": _whole("Longest wait for a full batch, microseconds.", 0, 60_000_000),
    "SAGEMAKER_TFS_NUM_BATCH_THREADS": _whole("Batches computed at a time.", 1, 1024),
    "SAGEMAKER_TFS_MAX_ENQUEUED_BATCHES": _whole("Batches that may wait.", 1, 100_000_000),
    "SAGEMAKER_TFS_INSTANCE_COUNT": _whole("TensorFlow Serving processes in a container.", 1, 64),
    "SAGEMAKER_TFS_INTER_OP_PARALLELISM": _whole("Operations computed at a time; 0: TensorFlow's choice.", 0, 1024),
    "SAGEMAKER_TFS_INTRA_OP_PARALLELISM": _whole("Threads of one operation; 0: TensorFlow's choice.", 0, 1024),
    "SAGEMAKER_TFS_FRACTIONAL_GPU_MEM_MARGIN": Variable(
        "Part of a GPU's memory that several processes leave free.",
        "a number from 0 to 0.9999, such as 0.2",
        r"^0(\.[0-9]{1,4})?$",
    ),
    "SAGEMAKER_TFS_WAIT_TIME_SECONDS": _whole("How long the model may take to load.", 1, 3600),
    # goes into nginx.conf and into a URL
    "SAGEMAKER_TFS_DEFAULT_MODEL_NAME": Variable(
        "The model that answers when a request names none.",
        "1 to 128 letters, digits, _, . and -, starting with a letter, digit or _",
        r"^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}$",
        tunes=False,
    ),
    "SAGEMAKER_SAFE_PORT_RANGE": Variable(
        "Ports for several TensorFlow Serving processes.",
        "two ports from 1024 to 65535, such as 9000-9999",
        r"^({port})-({port})$".format(
            port="102[4-9]|10[3-9][0-9]|1[1-9][0-9]{2}|[2-9][0-9]{3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}"
            "|655[0-2][0-9]|6553[0-5]"
        ),
    ),
    # nginx
    "SAGEMAKER_TFS_NGINX_LOGLEVEL": _words(
        "What nginx logs.", "debug", "info", "notice", "warn", "error", "crit", "alert", "emerg"
    ),
    "SAGEMAKER_NGINX_PROXY_READ_TIMEOUT_SECONDS": _whole("How long nginx waits for an answer.", 1, 3600),
    # gunicorn, which runs only beside code/. A worker class of another name would be imported.
    "SAGEMAKER_GUNICORN_WORKERS": _whole("Python processes beside the model.", 1, 256),
    "SAGEMAKER_GUNICORN_THREADS": _whole("Threads of each.", 1, 256),
    "SAGEMAKER_GUNICORN_WORKER_CLASS": _words("Kind of worker.", "sync", "gthread", "gevent", "eventlet", "tornado"),
    "SAGEMAKER_GUNICORN_TIMEOUT_SECONDS": _whole("How long a worker may be silent.", 1, 3600),
    "SAGEMAKER_GUNICORN_LOGLEVEL": _words("What gunicorn logs.", "debug", "info", "warning", "error", "critical"),
    # telemetry of the image (bash_telemetry.sh)
    "OPT_OUT_TRACKING": _words("Whether AWS's telemetry of the image is off.", "true", "false"),
    # TensorFlow's and OpenMP's own numbers. TF_XLA_FLAGS, XLA_FLAGS and KMP_* hold options, paths among them: not here.
    "OMP_NUM_THREADS": _whole("Threads of OpenMP; the container's own is 1.", 1, 1024),
    "TF_NUM_INTEROP_THREADS": _whole("Operations computed at a time.", 1, 1024),
    "TF_NUM_INTRAOP_THREADS": _whole("Threads of one operation.", 1, 1024),
    "TF_CPP_MIN_LOG_LEVEL": _whole("Least severity that TensorFlow logs.", 0, 3),
    "TF_CPP_MAX_VLOG_LEVEL": _whole("Detail of TensorFlow's log.", 0, 3),
    "TF_ENABLE_ONEDNN_OPTS": _words("Operations of oneDNN.", "0", "1"),
    "TF_FORCE_GPU_ALLOW_GROWTH": _words("Take a GPU's memory as it is needed.", "true", "false"),
    "TF_GPU_ALLOCATOR": _words("Who allocates a GPU's memory.", "cuda_malloc", "cuda_malloc_async"),
    "TF_GPU_THREAD_MODE": _words("Which threads feed a GPU.", "global", "gpu_private", "gpu_shared"),
    "TF_GPU_THREAD_COUNT": _whole("Threads that feed a GPU.", 1, 1024),
    "TF_CUDNN_USE_AUTOTUNE": _words("Try kernels for the fastest.", "0", "1"),
    "TF_DETERMINISTIC_OPS": _words("Operations that give the same bits each time.", "0", "1"),
    "NVIDIA_TF32_OVERRIDE": _words("0 switches TF32 off.", "0", "1"),
}

_DANGERS = (
    (r"LD_|GLIBC_|GCONV_|LOCPATH$|MALLOC_", "the loader takes libraries and options from such a variable"),
    (r"PYTHON|GUNICORN_|PIP_|UV_|VIRTUAL_ENV$", "Python and its tools take code or options from such a variable"),
    (r"BASH|ENV$|SHELL|PATH$|IFS$|PS4$|HOME$", "the container's shell takes code or programs from such a variable"),
    (
        r"SAGEMAKER_(PROGRAM|SUBMIT_|REQUIREMENTS|MULTI_MODEL|BIND_|BATCH)",
        "it names code, or takes another way of serving",
    ),
    (r"(TF_)?XLA_|KMP_|CUDA_|NCCL_", "it holds options and paths, not a number"),
    (r"AWS_|BOTO|https?_proxy$|HTTPS?_PROXY$|NO_PROXY$", "it says where the container's calls go, and as whom"),
)


def why_refused(name: str) -> str:
    """Say why a name that is not listed may not be given to the container."""
    reasons = (why for pattern, why in _DANGERS if re.match(pattern, name))
    return next(reasons, "it is none of the serving container's variables that hold a number or a known word")


def environment_schema() -> dict[str, Any]:
    """Return the schema of endpoint.environment: what is listed, and the application's own names."""
    return {
        "type": "object",
        "title": "Container environment",
        "description": "Variables of the model container: those of TensorFlow Serving's container that are listed "
        f"here, and names that begin with {APPLICATION_PREFIX} where artifact.code is allow. At most "
        f"{MAX_ENVIRONMENT_ENTRIES} entries, {MAX_ENVIRONMENT_BYTES_EACH} bytes each, {MAX_ENVIRONMENT_BYTES} in all.",
        "default": {},
        "examples": [{"SAGEMAKER_TFS_ENABLE_BATCHING": "true"}],
        "maxProperties": MAX_ENVIRONMENT_ENTRIES,
        "properties": {name: variable.json_schema() for name, variable in VARIABLES.items()},
        "patternProperties": {
            APPLICATION_NAME: {
                "type": "string",
                "pattern": r"^[^\u0000-\u001f\u007f]*$",
                "maxLength": MAX_ENVIRONMENT_BYTES_EACH,
                "x-allowed": f"text in quotes, at most {MAX_ENVIRONMENT_BYTES_EACH} bytes, no control characters",
            }
        },
        "additionalProperties": False,
        "x-allowed": f"at most {MAX_ENVIRONMENT_ENTRIES} names with text",
    }
