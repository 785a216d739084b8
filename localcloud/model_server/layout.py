"""Where the TensorFlow Serving container looks for models under /opt/ml/model.

Source: aws/deep-learning-containers, tensorflow/inference, tfs_utils.find_models and find_model_versions.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from localcloud.model_server.errors import LayoutError

_VERSION = re.compile(r"^\d+$")
DEFAULT_MODEL_VARIABLE = "SAGEMAKER_TFS_DEFAULT_MODEL_NAME"
ROOT_MODEL_NAME = "model"  # the name of a model whose versions lie at the archive's root


@dataclass(frozen=True)
class ModelFolder:
    """One model: its name and its versions, {number: directory}; all versions are loaded."""

    name: str
    versions: dict[int, Path]


def find_models(root: Path) -> list[ModelFolder]:
    """Return every model under root; raises LayoutError when there is none or a version can't be loaded."""
    parents = set()
    for directory, _, files in os.walk(root):
        folder = Path(directory)
        if "saved_model.pb" in files and _VERSION.match(folder.name):
            parents.add(folder.parent)
    if not parents:
        raise LayoutError("no SavedModel bundles found! A model is <version number>/saved_model.pb in the archive")
    return [ModelFolder(_name(root, parent), _versions(parent)) for parent in sorted(parents)]


def default_model(models: list[ModelFolder], environment: dict[str, str]) -> ModelFolder:
    """Return the model that answers when a request names none."""
    wanted = environment.get(DEFAULT_MODEL_VARIABLE)
    if wanted in (None, "", "None"):
        return models[0]
    for model in models:
        if model.name == wanted:
            return model
    raise LayoutError(f"{DEFAULT_MODEL_VARIABLE} is {wanted}, but the archive holds {[m.name for m in models]}")


def _name(root: Path, parent: Path) -> str:
    return ROOT_MODEL_NAME if parent == root else parent.name


def _versions(parent: Path) -> dict[int, Path]:
    """Every numeric name is a version to the container, loadable or not."""
    versions: dict[int, Path] = {}
    for entry in sorted(parent.iterdir()):
        if not entry.name.isnumeric():
            continue
        if not entry.is_dir() or not (entry / "saved_model.pb").is_file():
            raise LayoutError(f"version {entry.name} of model {parent.name} is not a SavedModel and will never load")
        versions[int(entry.name)] = entry
    return versions
