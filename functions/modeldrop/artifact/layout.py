"""Where TF Serving's container looks for a model in an unpacked archive, and what it would trip over there.

A model is the parent of a directory with a whole number for a name in which a file is called saved_model.pb. Every
numeric name beside that directory, file or not, is taken for a version, and all versions must load.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass

from modeldrop.artifact.findings import Findings, shown

MODEL_FILE = "saved_model.pb"
MAX_VERSION = 2**63 - 1
# what starts by its name alone: site hooks of Python, gunicorn's own file, start files of shells, the loader's list
_PICKED_UP = frozenset({"gunicorn.conf.py", "ld.so.preload", ".bashrc", ".bash_profile", ".bash_login", ".profile"})
_SITE_HOOK = re.compile(r"(.*/)?(site|user)customize(/.*|(\.[^/]*)?\.(py|pyc|so))", re.ASCII)
# .pth is a site hook only where Python looks for packages; elsewhere it may be PyTorch's weights
_PATH_FILE = re.compile(r"(.*/)?(site|dist)-packages/[^/]*\.pth", re.ASCII)
_LOADABLE = re.compile(r".*(\.(py|pyc|pyd|pth|egg|whl|sh|bash|so|dll|dylib|exe)|\.so(\.[0-9]+)+)", re.ASCII | re.DOTALL)
# ELF, a script's first line and other systems' formats, whatever the name; at most tar_stream.START_BYTES each
PROGRAM_STARTS = (b"\x7fELF", b"#!", b"MZ\x90\0", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_OTHER_FORMATS = (".keras", ".h5", ".hdf5", ".tflite", ".onnx", ".pt", ".pth", ".pkl", ".ckpt.index")


@dataclass(frozen=True)
class Layout:
    """directory: of the version, as in the archive. model_name and version: as TF Serving will call them."""

    directory: str
    model_name: str
    version: int


def find_model(files: Mapping[str, int], directories: frozenset[str], findings: Findings) -> Layout | None:
    """The one model in the archive; None, with findings, when there is none, or more than one."""
    models = [posixpath.dirname(path) for path in files if posixpath.basename(path) == MODEL_FILE]
    numbered = sorted(directory for directory in models if is_version(posixpath.basename(directory)))
    if not numbered:
        _explain_no_model(files, models, findings)
        return None
    bases = sorted({posixpath.dirname(directory) for directory in numbered})
    if len(bases) > 1:
        findings.add("LAYOUT_SEVERAL_MODELS", f"{len(bases)} models: {shown(', '.join(_name(base) for base in bases))}")
        return None
    if len(numbered) > 1:
        versions = ", ".join(posixpath.basename(directory) for directory in numbered)
        findings.add("LAYOUT_TWO_VERSIONS", f"{len(numbered)} versions: {shown(versions)}", bases[0])
        return None
    directory = numbered[0]
    version = int(posixpath.basename(directory)) if len(posixpath.basename(directory)) < 4000 else MAX_VERSION + 1
    if version > MAX_VERSION:
        findings.add("LAYOUT_VERSION_NAME", f"the version is larger than {MAX_VERSION}", directory)
        return None
    _refuse_strays(directory, files, directories, findings)
    _refuse_other_graphs(directory, files, findings)
    return Layout(directory, _name(bases[0]), version)


def is_version(name: str) -> bool:
    """The container's rule for a version directory, in ASCII."""
    return re.fullmatch("[0-9]+", name) is not None


def check_programs(files: Mapping[str, int], programs: Set[str], *, allowed: bool, findings: Findings) -> None:
    """Tell files outside `code/` that an interpreter or a loader would take. programs: found by their first bytes.

    With a container that reads only the variables of policy.environment nothing looks for them in the archive. So what
    would run by itself is refused, as a second wall, and the rest is told: an asset may have any name.
    """
    for path in files:
        if path.startswith("code/"):
            continue
        hook = _SITE_HOOK.fullmatch(path) or _PATH_FILE.fullmatch(path) or posixpath.basename(path) in _PICKED_UP
        if hook and not allowed:
            findings.add("CODE_PICKED_UP", "a file that is run by its name alone", path)
        elif hook or path in programs or _LOADABLE.fullmatch(path):
            findings.add("CODE_LOADABLE", "a program or library outside code/", path)


def check_code(files: Mapping[str, int], handler: bytes | None, *, allowed: bool, findings: Findings) -> None:
    """Rules for `code/`: Python that the container runs beside TF Serving. handler: code/inference.py."""
    code = [path for path in files if path.startswith("code/")]
    if not code:
        return
    if not allowed:
        findings.add("CODE_REFUSED", f"{len(code)} files in code/", code[0])
        return
    findings.add("CODE_ALLOWED", f"{len(code)} files in code/", "code/")
    has_packages = any(path.startswith("code/lib/") for path in code)
    if "code/requirements.txt" in files and not has_packages:  # the container prefers lib
        findings.add("CODE_REQUIREMENTS", "packages would be installed at start", "code/requirements.txt")
    if handler is None:
        findings.add("CODE_HANDLER", "code/inference.py is missing or too large", "code/inference.py")
        return
    try:
        names = _defined(ast.parse(handler))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        findings.add("CODE_HANDLER", f"not Python: {shown(str(error))}", "code/inference.py")
        return
    if "handler" not in names and not {"input_handler", "output_handler"} <= names:
        findings.add("CODE_HANDLER", "no handler, and not both input_handler and output_handler", "code/inference.py")


def _defined(module: ast.Module) -> set[str]:
    names: set[str] = set()
    for statement in module.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(statement.name)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in statement.names)
        elif isinstance(statement, ast.Assign):
            names.update(target.id for target in statement.targets if isinstance(target, ast.Name))
    return names


def _name(base: str) -> str:
    """The container calls a model at the archive's root `model`."""
    return posixpath.basename(base) or "model"


def _explain_no_model(files: Mapping[str, int], models: list[str], findings: Findings) -> None:
    if "" in models:
        findings.add("LAYOUT_AT_ROOT", "saved_model.pb is not in a numbered directory", MODEL_FILE)
    for directory in models:
        if directory:
            name = shown(posixpath.basename(directory), 60)
            findings.add("LAYOUT_VERSION_NAME", f"its directory is called {name}", f"{directory}/{MODEL_FILE}")
    if models:
        return
    text = [path for path in files if posixpath.basename(path) in ("saved_model.pbtxt", "saved_model.cpb")]
    other = [path for path in files if path.endswith(_OTHER_FORMATS)]
    if text:
        findings.add("LAYOUT_TEXT_MODEL", "only saved_model.pb is found", text[0])
    elif other:
        findings.add("LAYOUT_NOT_SAVED_MODEL", "TF Serving cannot load this", other[0])
    else:
        some = ", ".join(sorted(files)[:5]) or "nothing"
        findings.add("LAYOUT_NO_MODEL", f"the archive holds {len(files)} files: {shown(some)}")


def _refuse_strays(directory: str, files: Mapping[str, int], directories: frozenset[str], findings: Findings) -> None:
    base = posixpath.dirname(directory)
    for path in sorted({*files, *directories}):
        # str.isnumeric is what the container asks, so `²` counts too
        if posixpath.dirname(path) == base and path != directory and posixpath.basename(path).isnumeric():
            findings.add("LAYOUT_STRAY_VERSION", f"a numeric name beside version {posixpath.basename(directory)}", path)


def _refuse_other_graphs(directory: str, files: Mapping[str, int], findings: Findings) -> None:
    """A second form of the graph would not be the one that was checked."""
    for name in ("saved_model.pbtxt", "saved_model.cpb"):
        if f"{directory}/{name}" in files:
            findings.add("LAYOUT_TEXT_MODEL", "a second form of the graph beside saved_model.pb", f"{directory}/{name}")
