"""Commands on files, with no account: package, validate."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import print_json, print_table, say
from cli.failures import ANSWER_IS_NO, USAGE, CommandError
from cli.options import DEFAULT_STACK, AsJson, StackName

if TYPE_CHECKING:
    from modeldrop.artifact.language import Live
    from modeldrop.artifact.report import ArtifactReport
    from modeldrop.policy.model import Policy

# template.yaml's own defaults (DefaultInstanceType, DefaultInstanceCount), for a policy that names none
DEFAULT_INSTANCE_TYPE, DEFAULT_INSTANCE_COUNT = "ml.g5.xlarge", 2


def package(
    saved_model: Annotated[Path, typer.Argument(exists=True, help="A SavedModel directory, or a .keras file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the archive goes.")] = Path("model.tar.gz"),
    golden: Annotated[Path | None, typer.Option(exists=True, help="golden.jsonl to put in.")] = None,
    sample: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Inputs, JSON a line; their answers become golden."),
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="PEM private key: model-signing writes OUTPUT.sig."),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="rollout.yaml to put in, so that --sign covers it too."),
    ] = None,
    version: Annotated[int | None, typer.Option(min=0, help="Version number; the directory's own, else 1.")] = None,
    as_json: AsJson = False,
) -> None:
    """Pack a SavedModel directory or a Keras model into model.tar.gz.

    The same files give the same bytes. Example: modeldrop package export/1 --golden golden.jsonl
    """
    from cli.answers import AnswersError
    from model.package import PackageError
    from model.package import package as pack
    from model.sign import find_tool
    from model.sign import sign as sign_archive

    if golden and sample:
        raise CommandError("--golden and --sample both give the golden requests: choose one", status=USAGE)
    if policy:
        read_policy(policy)
    try:
        if sign:
            find_tool()  # its absence is told before the work, not after
        with tempfile.TemporaryDirectory() as scratch:
            source, answers = _run_model(saved_model, sample, Path(scratch))
            sha256 = pack(source, output, version=version, golden=answers or golden, policy=policy)
        bundle = sign_archive(output, sign) if sign else None
    except (PackageError, AnswersError) as error:
        raise CommandError(str(error), status=ANSWER_IS_NO) from None
    size = output.stat().st_size
    if as_json:
        print_json({"archive": output, "sha256": sha256, "size_bytes": size, "signature": bundle})
    else:
        say(f"{output}  {size:,} bytes  sha256 {sha256}")
        if bundle:
            say(f"{bundle}  upload it before the archive, or let `modeldrop drop` do it")


def _run_model(model: Path, sample: Path | None, scratch: Path) -> tuple[Path, Path | None]:
    """Return the SavedModel to pack, exported from Keras where need be, and golden.jsonl where samples were given."""
    from cli.answers import write_answers
    from model.package import PackageError, find_version

    export, golden = scratch / "1", scratch / "golden.jsonl"
    if model.is_dir():
        if sample:
            write_answers(find_version(model)[0], sample, golden, export)
        return model, golden if sample else None
    if model.suffix != ".keras":
        raise PackageError(f"{model} is neither a SavedModel directory nor a .keras file")
    write_answers(model, sample, golden, export)
    return export, golden if sample else None


def validate(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False)],
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="As artifact: {code: allow} in rollout.yaml.")
    ] = False,
    against: Annotated[
        str, typer.Option(help="A release, an artifact.json or a model.tar.gz whose callers must not break.")
    ] = "",
    instance_type: Annotated[str, typer.Option(help="Check that it can fit there, such as ml.g5.xlarge.")] = "",
    stack: StackName = DEFAULT_STACK,
    as_json: AsJson = False,
) -> None:
    """Check model.tar.gz as the workflow would, without unpacking it and without TensorFlow.

    Exit status 0: all are good, 1: one is refused, 2: usage (also of --against), 3: internal or AWS. With --json 0 and
    1 print a list of reports on stdout, one a file; 2 and 3 print nothing there.
    Example: modeldrop validate model.tar.gz --against live.tar.gz --instance-type ml.g5.xlarge
    """
    from modeldrop.artifact.report import report_to_json

    live = _live(against, stack) if against else None
    reports = [(path, _inspect(path, allow_code, live, instance_type)) for path in files]
    if as_json:
        print_json([{"file": str(path), **report_to_json(report)} for path, report in reports])
    else:
        for path, report in reports:
            _print_report(path, report)
    if any(report.refusals for _, report in reports):
        raise typer.Exit(ANSWER_IS_NO)


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


def _inspect(path: Path, allow_code: bool, live: Live | None = None, instance_type: str = "") -> ArtifactReport:
    from cli.reading import reading
    from modeldrop.artifact.inspect import inspect_artifact
    from modeldrop.policy.model import ArtifactPolicy

    with path.open("rb") as stream, reading(path) as progress:
        return inspect_artifact(
            stream,
            allow_code=allow_code,
            max_size_bytes=ArtifactPolicy().max_size_bytes,
            progress=progress,
            again=lambda: path.open("rb"),
            live=live,
            instance_type=instance_type,
        )


def _live(against: str, stack: str) -> Live:
    """Read the serving signatures of a file, or of a release of the stack."""
    from modeldrop.artifact.language import Live, signatures_of

    path = Path(against)
    if path.is_file():
        with path.open("rb") as start:
            is_json = start.read(1) == b"{"
        if is_json:
            signatures = signatures_of(path.read_bytes())
            if signatures is None:
                raise CommandError(f"{path} is not an artifact.json", status=USAGE)
            return Live(against, signatures)
        report = _inspect(path, allow_code=True)
        if report.refusals:
            raise CommandError(f"--against {path} is itself refused: {report.refusals[0].what}", status=USAGE)
        return Live(against, report.serving_signatures)
    return _live_release(against, stack)


def _live_release(release: str, stack: str) -> Live:
    from cli.account import find_stack
    from cli.following import find_release
    from modeldrop.artifact.language import Live, signatures_of
    from modeldrop.artifact.report import MAX_REPORT_BYTES
    from modeldrop.release.reports import report_key

    found = find_stack(stack)
    record = find_release(found.releases(), release, status=USAGE)
    place = {"Bucket": found.approved_bucket, "Key": report_key(record, "artifact.json")}
    s3 = found.account.client("s3")
    try:
        signatures = signatures_of(s3.get_object(**place)["Body"].read(MAX_REPORT_BYTES))
    except s3.exceptions.NoSuchKey:
        what, fix = f"{release} ended before its artifact was read", "name a good one: modeldrop history ENDPOINT"
        raise CommandError(what, fix=fix, status=USAGE) from None
    if signatures is None:
        raise CommandError(f"the report of {release} cannot be read: s3://{place['Bucket']}/{place['Key']}")
    return Live(release, signatures)


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
    for check in report.checks:
        if check.code == "FIT_OK":
            say(f"  fits: {check.what}")
    for name, signature in report.serving_signatures.items():
        say(f"  {name}: {_tensors(signature['inputs'])} -> {_tensors(signature['outputs'])}")
    say(f"  {len(report.golden)} golden request(s)" if report.golden else "  no golden requests: no answer is compared")


def _tensors(tensors: dict[str, Any]) -> str:
    return ", ".join(f"{name} {one['dtype']} {one['shape']}" for name, one in tensors.items())


def print_policy(file: Path, policy: Policy) -> None:
    """Print what a policy means with every default filled in."""
    judge, strategy = policy.judge, policy.strategy
    rows = [
        ("endpoint", f"{policy.endpoint.instance_count} x {policy.endpoint.instance_type}"),
        ("metrics every", f"{policy.endpoint.metrics_every_seconds} s"),
        ("strategy", strategy.name if policy.strategy_chosen else f"{strategy.name} (default)"),
        (strategy.name, strategy.summary()),
        ("judge", f"alpha {judge.alpha}, margin {judge.margin}, at least {judge.min_green} green requests"),
        ("dead man", f"{judge.dead_man_seconds} s"),
        ("inconclusive", policy.on_inconclusive),
        ("blind", policy.on_blind),
        ("rehearsal", policy.gates.rehearsal),
        ("approval", policy.gates.approval),
    ]
    say(f"{file}: good")
    print_table(("field", "means"), rows)
