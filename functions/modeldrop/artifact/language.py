"""Does the new model speak the live one's language: its serving signatures, compared as a client would notice it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from modeldrop.artifact.findings import Findings, shown
from modeldrop.artifact.report import ArtifactReport

Signatures = Mapping[str, Mapping[str, Any]]
Breaking = Literal["refuse", "allow", "restore"]
BREAKING: Mapping[Breaking, str] = {
    "refuse": "SERVING_BREAKING",
    "allow": "SERVING_BREAKING_ALLOWED",
    "restore": "SERVING_BREAKING_RESTORED",
}


@dataclass(frozen=True)
class Live:
    """The release that answers now. signatures: of its artifact.json; None where that could not be read."""

    release: str
    signatures: Signatures | None


@dataclass(frozen=True)
class Change:
    """One difference; breaking when a request of today would fail, or an answer would lack what clients read."""

    breaking: bool
    what: str
    where: str


def check_language(live: Live, new: Signatures, findings: Findings, breaking: Breaking) -> None:
    """Note every change against the live release; what breaks is refused, allowed by the policy, or a roll back's."""
    if live.signatures is None:
        findings.add("SERVING_NO_LIVE", f"the report of {shown(live.release)}, which is live, could not be read")
        return
    found = list(changes(live.signatures, new))
    for change in found:
        code = BREAKING[breaking] if change.breaking else "SERVING_WIDER"
        findings.add(code, change.what, change.where)
    if not any(change.breaking for change in found):
        findings.add("SERVING_OK", f"requests that {shown(live.release)} answers are answered in the same form")


def compared_again(report: ArtifactReport, live: Live, breaking: Breaking) -> ArtifactReport:
    """Return the report with this comparison instead of an earlier one: another release went live since."""
    findings = Findings()
    check_language(live, report.serving_signatures, findings, breaking)
    others = tuple(check for check in report.checks if not check.code.startswith("SERVING_"))
    return replace(report, checks=(*findings.checks(), *others))


def told(report: ArtifactReport) -> dict[str, list[str]]:
    """Return what the release's message tells of the report: changes that break callers, and other warnings."""
    codes = set(BREAKING.values())
    return {
        "breaking": [f"{one.where}: {one.what}" for one in report.warnings if one.code in codes][:20],
        "warnings": [one.what for one in report.warnings if one.code not in codes][:20],
    }


def signatures_of(artifact_json: bytes) -> Signatures | None:
    """The serving signatures in an artifact.json; None where it is not one."""
    try:
        found = json.loads(artifact_json)["serving_signatures"]
        for signature in found.values():
            str(signature["method"])
            for side in ("inputs", "outputs"):
                for spec in signature[side].values():
                    spec["dtype"], spec["shape"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return dict(found)


def changes(live: Signatures, new: Signatures) -> Iterator[Change]:
    """Every difference, by signature and tensor, as `live -> new`."""
    for name in sorted({*live, *new}):
        where = f"signature {name}"
        if name not in new:
            yield Change(True, f"{_form(live[name])} -> gone", where)
        elif name not in live:
            yield Change(False, f"not there -> {_form(new[name])}", where)
        else:
            if live[name]["method"] != new[name]["method"]:
                yield Change(True, f"method {live[name]['method']} -> {new[name]['method']}", where)
            yield from _inputs(live[name]["inputs"], new[name]["inputs"], where)
            yield from _outputs(live[name]["outputs"], new[name]["outputs"], where)


def _inputs(live: Mapping[str, Any], new: Mapping[str, Any], where: str) -> Iterator[Change]:
    for name in sorted({*live, *new}):
        if name not in new:
            yield Change(True, f"input {name}: {_tensor(live[name])} -> gone", where)
        elif name not in live:
            yield Change(True, f"input {name}: not there -> {_tensor(new[name])}, which no request of today has", where)
        elif not _same(live[name], new[name]):
            accepts = live[name]["dtype"] == new[name]["dtype"] and _covers(new[name]["shape"], live[name]["shape"])
            yield Change(not accepts, f"input {name}: {_tensor(live[name])} -> {_tensor(new[name])}", where)


def _outputs(live: Mapping[str, Any], new: Mapping[str, Any], where: str) -> Iterator[Change]:
    for name in sorted({*live, *new}):
        if name not in new:
            yield Change(True, f"output {name}: {_tensor(live[name])} -> gone", where)
        elif name not in live:
            yield Change(False, f"output {name}: not there -> {_tensor(new[name])}", where)
        elif not _same(live[name], new[name]):
            before, after = live[name]["shape"], new[name]["shape"]
            fits = live[name]["dtype"] == new[name]["dtype"] and (_covers(after, before) or _covers(before, after))
            yield Change(not fits, f"output {name}: {_tensor(live[name])} -> {_tensor(new[name])}", where)


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(one["dtype"] == other["dtype"] and one["shape"] == other["shape"])


def _covers(wide: Sequence[int | None] | None, narrow: Sequence[int | None] | None) -> bool:
    """Whether every tensor of the narrow shape has the wide one."""
    if wide is None:
        return True
    if narrow is None or len(wide) != len(narrow):
        return False
    return all(size is None or size == other for size, other in zip(wide, narrow, strict=True))


def _tensor(spec: Mapping[str, Any]) -> str:
    shape = spec["shape"]
    dims = "..." if shape is None else ", ".join("?" if size is None else str(size) for size in shape)
    return f"{spec['dtype']}[{dims}]"


def _form(signature: Mapping[str, Any]) -> str:
    inputs, outputs = (
        ", ".join(f"{name} {_tensor(spec)}" for name, spec in signature[side].items()) or "nothing"
        for side in ("inputs", "outputs")
    )
    return f"{inputs} -> {outputs}" if len(inputs) + len(outputs) < 150 else f"{len(signature['inputs'])} inputs"
