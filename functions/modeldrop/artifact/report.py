"""What the inspection of one model.tar.gz found: checks, facts for the plan, and their forms as text and JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from modeldrop.artifact.golden import GoldenRequest
from modeldrop.errors import ArtifactRejectedError, Problem

# of artifact.json, which holds golden requests of at most 1 MB
MAX_REPORT_BYTES = 8 * 1024 * 1024
Result = Literal["ok", "refused", "warned"]
# dtype is TensorFlow's word ("float32"); shape has None for an open dimension, or is None where the rank is open
TensorSpec = Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """One answer; `code` is stable and explained in docs/artifact-checks.md."""

    code: str
    result: Result
    what: str
    where: str = ""
    fix: str = ""


@dataclass(frozen=True)
class ArtifactReport:
    """Everything known about an artifact after one pass.

    sha256: of the compressed bytes, empty when reading stopped before their end. model_name, version: as TF Serving
    will name them; version is None when there is no single one. variable_bytes, constant_bytes:
    size of all variables and of the graph's large constants, together a lower bound of the memory the model needs.
    """

    checks: tuple[Check, ...]
    sha256: str = ""
    size_bytes: int = 0
    uncompressed_bytes: int = 0
    entries: int = 0
    model_name: str = ""
    version: int | None = None
    tensorflow_version: str = ""
    serving_signatures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    variable_bytes: int = 0
    constant_bytes: int = 0
    golden: tuple[GoldenRequest, ...] = ()

    @property
    def refusals(self) -> tuple[Check, ...]:
        """Why the artifact may not go on; empty for a good one."""
        return tuple(check for check in self.checks if check.result == "refused")

    @property
    def warnings(self) -> tuple[Check, ...]:
        """What a person should know, without stopping the release."""
        return tuple(check for check in self.checks if check.result == "warned")

    def require_good(self) -> None:
        """Raise ArtifactRejectedError with every refusal, if there is one."""
        if self.refusals:
            raise ArtifactRejectedError([Problem(c.code, c.what, c.where, c.fix) for c in self.refusals])


def report_to_json(report: ArtifactReport) -> dict[str, Any]:
    """The report as plain JSON values, by the names of the dataclasses, and `good` for a reader in a hurry."""
    return {
        **dataclasses.asdict(dataclasses.replace(report, serving_signatures={}, golden=())),
        "good": not report.refusals,
        "checks": [dataclasses.asdict(check) for check in report.checks],
        "serving_signatures": {name: dict(signature) for name, signature in report.serving_signatures.items()},
        "golden": [dataclasses.asdict(request) for request in report.golden],
    }


def report_from_json(document: Mapping[str, Any]) -> ArtifactReport:
    """Inverse of report_to_json."""
    fields = {name: value for name, value in document.items() if name != "good"}
    return ArtifactReport(
        **{
            **fields,
            "checks": tuple(Check(**check) for check in document["checks"]),
            "golden": tuple(
                GoldenRequest(g["request"], g["response"], float(g["rtol"]), float(g["atol"]))
                for g in document["golden"]
            ),
        }
    )


def report_text(report: ArtifactReport) -> str:
    """The report for a person: the answer first, then what to mend, then what was found."""
    verdict = "REFUSED" if report.refusals else "GOOD"
    lines = [f"{verdict}: {len(report.refusals)} refusals, {len(report.warnings)} warnings"]
    for title, checks in (("refused", report.refusals), ("warned", report.warnings)):
        for check in checks:
            place = f" ({check.where})" if check.where else ""
            lines += [f"  {title}  {check.code}: {check.what}{place}", *([f"           {check.fix}"] * bool(check.fix))]
    lines += [f"  ok       {check.code}: {check.what}" for check in report.checks if check.result == "ok"]
    lines.append(f"Artifact  {_artifact_line(report)}")
    if report.version is not None:
        made = f", TensorFlow {report.tensorflow_version}" if report.tensorflow_version else ""
        lines.append(f"Model     {report.model_name}, version {report.version}{made}")
    for name, signature in report.serving_signatures.items():
        inputs, outputs = _tensors(signature["inputs"]), _tensors(signature["outputs"])
        lines.append(f"Signature {name}: {inputs} -> {outputs}")
    if report.golden:
        lines.append(f"Golden    {len(report.golden)} requests")
    return "\n".join(lines) + "\n"


def _artifact_line(report: ArtifactReport) -> str:
    sizes = f"{report.size_bytes:,} bytes, {report.uncompressed_bytes:,} uncompressed, {report.entries} entries"
    return f"{sizes}, sha256 {report.sha256}" if report.sha256 else f"{sizes}, not read to its end"


def _tensors(specs: Mapping[str, TensorSpec]) -> str:
    def one(spec: TensorSpec) -> str:
        shape = spec["shape"]
        dims = "?" if shape is None else ", ".join("?" if size is None else str(size) for size in shape)
        return f"{spec['dtype']}[{dims}]"

    return ", ".join(f"{name} {one(spec)}" for name, spec in specs.items()) or "nothing"
