"""The schema that editors use is the one that the code checks with."""

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from modeldrop.policy.schema import INSTANCE_TYPE, defaults, schema

REPOSITORY = Path(__file__).parents[2]


def leaves(section: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in section.get("properties", {}).items():
        yield f"{path}{name}", field
        yield from leaves(field, f"{path}{name}.")


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


def test_the_published_schema_is_current() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "modeldrop.policy.schema"], capture_output=True, text=True, check=True
    ).stdout
    published = (REPOSITORY / "docs" / "rollout.schema.json").read_text()
    assert published == made, "run: python -m modeldrop.policy.schema > docs/rollout.schema.json"


def test_every_field_tells_an_editor_what_it_is() -> None:
    silent = [path for path, field in leaves(schema()) if "x-not-built" not in field and "description" not in field]
    assert [path for path in silent if not path.startswith(("quality.", "signature."))] == []


def test_every_default_and_example_is_allowed_by_its_own_field() -> None:
    for path, field in leaves(schema()):
        for value in [field[key] for key in ("default",) if key in field] + field.get("examples", []):
            assert not list(Draft202012Validator(field).iter_errors(value)), (path, value)


def test_the_defaults_are_a_policy() -> None:
    assert not list(Draft202012Validator(schema()).iter_errors(defaults(schema())))


def test_every_instance_type_of_the_service_model_has_the_form_of_the_schema() -> None:
    model = files("botocore") / "data" / "sagemaker" / "2017-07-24" / "service-2.json.gz"
    shapes = json.loads(gzip.decompress(model.read_bytes()))["shapes"]
    odd = [name for name in shapes["ProductionVariantInstanceType"]["enum"] if not re.search(INSTANCE_TYPE, name)]
    assert odd == []
