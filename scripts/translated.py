"""The template as CloudFormation sees it: SAM expanded, the state machine's definition put in, offline."""

from __future__ import annotations

import copy
import json
import logging
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "template.yaml"
MACHINE = "ReleaseStateMachine"
# what SAM adds to a function's role; only the ARN is needed, so nothing is asked of IAM
MANAGED_POLICIES = {
    name.rpartition("/")[2]: f"arn:aws:iam::aws:policy/{name}"
    for name in ("service-role/AWSLambdaBasicExecutionRole", "AWSXrayWriteOnlyAccess")
}


@cache
def raw() -> dict[str, Any]:
    """Return template.yaml as written, its intrinsics in their long form."""
    return dict(yaml_parse(TEMPLATE.read_text()))


@cache
def definition() -> dict[str, Any]:
    """Return the state machine's definition as shipped, its substitutions still in it."""
    path = raw()["Resources"][MACHINE]["Properties"]["DefinitionUri"]
    return dict(json.loads((ROOT / path).read_text()))


def translated(parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the template after the SAM transform, its local paths replaced as `sam package` replaces them."""
    template = copy.deepcopy(raw())
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/functions"
    template["Resources"][MACHINE]["Properties"]["DefinitionUri"] = "s3://bucket/definition"
    values = {name: one["Default"] for name, one in template["Parameters"].items() if "Default" in one}
    # the translator asks the session for its region only
    session = boto3.Session("none", "none", region_name="us-east-1")
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    plain = Translator(MANAGED_POLICIES, Parser(), None, session).translate(template, values | dict(parameters or {}))
    plain.pop("Transform", None)
    machine = plain["Resources"][MACHINE]["Properties"]
    del machine["DefinitionS3Location"]
    machine["DefinitionString"] = json.dumps(definition())
    return dict(json.loads(json.dumps(plain)))


if __name__ == "__main__":
    json.dump(translated(), sys.stdout, indent=1)
