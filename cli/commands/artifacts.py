"""Commands on files, with no account: package, validate, lint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import print_json, print_table, say
from cli.failures import ANSWER_IS_NO, CommandError
from cli.options import AsJson

if TYPE_CHECKING:
    from modeldrop.artifact.report import ArtifactReport
    from modeldrop.policy.model import Policy

# template.yaml's own defaults (DefaultInstanceType, DefaultInstanceCount), for a policy that names none
DEFAULT_INSTANCE_TYPE, DEFAULT_INSTANCE_COUNT = "ml.g5.xlarge", 2
ExistingFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False)]


def package(
    saved_model: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the archive goes.")] = Path("model.tar.gz"),
    golden: Annotated[Path | None, typer.Option(exists=True, help="golden.jsonl to put in.")] = None,
    version: Annotated[int | None, typer.Option(min=0, help="Version number; the directory's own, else 1.")] = None,
    as_json: AsJson = False,
) -> None:
    """Pack a SavedModel directory into model.tar.gz.

    The same files give the same bytes. Example: modeldrop package export/1 --golden golden.jsonl
    """
    from model.package import PackageError
    from model.package import package as pack

    try:
        sha256 = pack(saved_model, output, version=version, golden=golden)
    except PackageError as error:
        raise CommandError(str(error), status=ANSWER_IS_NO) from None
    size = output.stat().st_size
    if as_json:
        print_json({"archive": output, "sha256": sha256, "size_bytes": size})
    else:
        say(f"{output}  {size:,} bytes  sha256 {sha256}")


def validate(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False)],
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="As artifact: {code: allow} in rollout.yaml.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check model.tar.gz as the workflow would, without unpacking it and without TensorFlow.

    Example: modeldrop validate model.tar.gz
    """
    from modeldrop.artifact.report import report_to_json

    reports = [(path, _inspect(path, allow_code=allow_code)) for path in files]
    if as_json:
        print_json([{"file": str(path), **report_to_json(report)} for path, report in reports])
    else:
        for path, report in reports:
            _print_report(path, report)
    if any(report.refusals for _, report in reports):
        raise typer.Exit(ANSWER_IS_NO)


def lint(
    file: ExistingFile,
    instance_type: Annotated[
        str, typer.Option(help="Stack default, when the policy names none.")
    ] = DEFAULT_INSTANCE_TYPE,
    instance_count: Annotated[int, typer.Option(min=1, help="Stack default.")] = DEFAULT_INSTANCE_COUNT,
    as_json: AsJson = False,
) -> None:
    """Check rollout.yaml and print what it means with every default filled in.

    Example: modeldrop lint rollout.yaml
    """
    from modeldrop.errors import PolicyRejectedError
    from modeldrop.policy.wire import policy_to_json

    try:
        policy = read_policy(file, instance_type, instance_count)
    except PolicyRejectedError as error:
        problems = [{"code": one.code, "what": one.what, "where": one.where, "fix": one.fix} for one in error.problems]
        if as_json:
            print_json({"file": str(file), "problems": problems})
        else:
            for one in problems:
                say(f"{one['code']}  {one['what']} ({one['where']}). {one['fix']}")
        raise typer.Exit(ANSWER_IS_NO) from None
    if as_json:
        print_json({"file": str(file), "problems": [], "policy": policy_to_json(policy)})
    else:
        _print_policy(file, policy)


def read_policy(
    file: Path, instance_type: str = DEFAULT_INSTANCE_TYPE, instance_count: int = DEFAULT_INSTANCE_COUNT
) -> Policy:
    """Read a policy file; PolicyRejectedError carries every problem."""
    from modeldrop.policy.parse import parse_policy

    return parse_policy(file.read_bytes(), default_instance_type=instance_type, default_instance_count=instance_count)


def default_policy() -> Policy:
    """Return the policy of an endpoint without rollout.yaml."""
    from modeldrop.policy.parse import parse_policy

    return parse_policy(
        None, default_instance_type=DEFAULT_INSTANCE_TYPE, default_instance_count=DEFAULT_INSTANCE_COUNT
    )


def _inspect(path: Path, *, allow_code: bool) -> ArtifactReport:
    from cli.reading import reading
    from modeldrop.artifact.inspect import inspect_artifact
    from modeldrop.policy.model import ArtifactPolicy

    limit = ArtifactPolicy().max_size_bytes
    with path.open("rb") as stream, reading(path) as progress:
        return inspect_artifact(stream, allow_code=allow_code, max_size_bytes=limit, progress=progress)


def _print_report(path: Path, report: ArtifactReport) -> None:
    refused, warned = report.refusals, report.warnings
    say(f"{path}: {f'REFUSED, {len(refused)} reason(s)' if refused else 'good'}")
    say(f"  sha256 {report.sha256}, {report.size_bytes:,} bytes, {report.uncompressed_bytes:,} unpacked")
    for check in (*refused, *warned):
        where = f" ({check.where})" if check.where else ""
        say(f"  {check.result:<8} {check.code}  {check.what}{where}. {check.fix}".rstrip())
    if refused:
        return
    say(f"  model {report.model_name} version {report.version}, saved by TensorFlow {report.tensorflow_version}")
    for name, signature in report.serving_signatures.items():
        say(f"  {name}: {_tensors(signature['inputs'])} -> {_tensors(signature['outputs'])}")
    say(f"  {len(report.golden)} golden request(s)" if report.golden else "  no golden requests: no answer is compared")


def _tensors(tensors: dict[str, Any]) -> str:
    return ", ".join(f"{name} {one['dtype']} {one['shape']}" for name, one in tensors.items())


def _print_policy(file: Path, policy: Policy) -> None:
    canary, judge = policy.canary, policy.judge
    size = canary.size.instances if canary.size.instances is not None else f"{canary.size.share:.0%}"
    rows = [
        ("endpoint", f"{policy.endpoint.instance_count} x {policy.endpoint.instance_type}"),
        ("metrics every", f"{policy.endpoint.metrics_every_seconds} s"),
        ("strategy", policy.strategy if policy.strategy_chosen else f"{policy.strategy} (default)"),
    ]
    if policy.strategy == "canary":
        rows.append(("canary", f"{size}, bake {canary.bake_seconds} s, final bake {canary.final_bake_seconds} s"))
    rows += [
        ("judge", f"alpha {judge.alpha}, margin {judge.margin}, at least {judge.min_green} green requests"),
        ("dead man", f"{judge.dead_man_seconds} s"),
        ("inconclusive", policy.on_inconclusive),
        ("blind", policy.on_blind),
        ("rehearsal", policy.gates.rehearsal),
        ("approval", policy.gates.approval),
    ]
    say(f"{file}: good")
    print_table(("field", "means"), rows)
