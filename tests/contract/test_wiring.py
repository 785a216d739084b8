"""Template, state machine, handlers and settings agree on names."""

from __future__ import annotations

import ast
import dataclasses
import importlib.metadata
import json
import re
from pathlib import Path

import pytest

from modeldrop.aws.releases import OPEN_INDEX
from modeldrop.policy.schema import SIGNATURE_KEY
from modeldrop.release.recovery import OpenRelease
from modeldrop.settings import Settings, Variable
from scripts import make_image_table
from scripts.translated import ROOT, definition, raw
from tests.contract.call_graph import settings_of

FUNCTIONS = {
    name.removesuffix("Function"): resource
    for name, resource in raw()["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
}
HANDLERS = ROOT / "functions" / "modeldrop" / "handlers"
# reached by an event, not by a state
EVENT_FUNCTIONS = {"Admit", "Reconcile"}
PACKAGE_BUDGET_BYTES = 20_000_000
# in Lambda the package's own boto3 runs: the runtime's is too old for MetricsConfig; it is not counted
BOTO3 = {"boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six", "urllib3"}


def snake(pascal: str) -> str:
    """JudgeRollout -> judge_rollout."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", pascal).lower()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_stem_runs_through_function_file_and_log_group(name):
    stem, function = snake(name), FUNCTIONS[name]["Properties"]
    assert function["Handler"] == f"modeldrop.handlers.{stem}.handler"
    assert function["FunctionName"] == {"Fn::Sub": f"${{AWS::StackName}}-{stem.replace('_', '-')}"}
    logs = raw()["Resources"][f"{name}Logs"]["Properties"]["LogGroupName"]
    assert logs == {"Fn::Sub": f"/aws/lambda/${{AWS::StackName}}-{stem.replace('_', '-')}"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_s_handler_exists(name):
    tree = ast.parse((HANDLERS / f"{snake(name)}.py").read_text())
    assert "handler" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_handler_file_is_a_function():
    files = {path.stem for path in HANDLERS.glob("*.py") if "def handler(" in path.read_text()}
    assert files == {snake(name) for name in FUNCTIONS}


def test_a_state_that_calls_a_function_has_its_name():
    called = {}
    for state, body in definition()["States"].items():
        for found in re.findall(r"\$\{(\w+)Function\}", json.dumps(body)):
            called.setdefault(found, set()).add(state)
    assert {name: states for name, states in called.items() if states != {name}} == {}
    assert set(called) == set(FUNCTIONS) - EVENT_FUNCTIONS


def test_every_substitution_is_given_and_none_is_left_over(template, machine):
    given = template["Resources"]["ReleaseStateMachine"]["Properties"]["DefinitionSubstitutions"]
    used = set(re.findall(r"\$\{(\w+)\}", json.dumps(machine)))
    assert used <= set(given)
    assert set(given) - used <= {"ReleasesTopicArn"}, "only the topic may be there for later"


def test_the_stack_s_signature_key_reaches_the_check_whatever_rollout_yaml_says(template, machine):
    payload = machine["States"]["ValidateArtifact"]["Arguments"]["Payload"]
    assert payload["signature_key"] == "${SignatureKey}"
    given = template["Resources"]["ReleaseStateMachine"]["Properties"]["DefinitionSubstitutions"]
    assert given["SignatureKey"] == {"Ref": "SignatureKey"}
    # the pattern is the policy's own, and has neither quotes nor braces, which would end the text in the definition
    assert template["Parameters"]["SignatureKey"]["AllowedPattern"] == SIGNATURE_KEY


def test_the_machine_names_published_versions(resources):
    given = resources["ReleaseStateMachine"]["Properties"]["DefinitionSubstitutions"]
    for name in set(FUNCTIONS) - EVENT_FUNCTIONS:
        assert resources[given[f"{name}Function"]["Ref"]]["Type"] == "AWS::Lambda::Version"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_gets_exactly_the_variables_that_it_reads(name, resources):
    variables = resources[f"{name}Function"]["Properties"]["Environment"]["Variables"]
    assert set(variables) == {setting.upper() for setting in settings_of(snake(name))}


def test_every_setting_is_read_by_some_function_and_by_none_out_of_sight():
    known = {name for name, one in vars(Settings).items() if isinstance(one, Variable)}
    read = {setting for name in FUNCTIONS for setting in settings_of(snake(name))}
    # Reconcile alone lists the bucket; admission is told it by the event
    assert read == known


def referred(value: object) -> set[str]:
    """Every logical name that a part of the template refers to."""
    return set(re.findall(r'(?:"Ref": "|\$\{)(\w+)', json.dumps(value)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_changed_parameter_gives_a_function_a_new_version_and_keeps_the_old(name, template, resources):
    function = resources[f"{name}Function"]["Properties"]
    read = referred(function["Environment"]) & set(template["Parameters"])
    (version,) = [one for key, one in resources.items() if re.fullmatch(f"{name}FunctionVersion[0-9a-f]+", key)]
    assert read == referred(version["Properties"].get("Description", "")) & set(template["Parameters"])
    assert (version["DeletionPolicy"], version["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_a_version_s_description_fits(template):
    # AWS::Lambda::Version: Description has at most 256 characters; this one has the longest parameters
    given = template["Resources"]["PlanRolloutFunction"]["Properties"]["VersionDescription"]["Fn::Sub"]
    longest = sum(template["Parameters"][name]["MaxLength"] for name in re.findall(r"\$\{(\w+)\}", given))
    assert len(re.sub(r"\$\{\w+\}", "", given)) + longest <= 256


def test_the_index_of_open_releases_carries_what_is_read_of_it(resources):
    table = resources["ReleaseTable"]["Properties"]
    (index,) = table["GlobalSecondaryIndexes"]
    read = {field.name for field in dataclasses.fields(OpenRelease)} - {"endpoint", "release"}
    assert index["IndexName"] == OPEN_INDEX
    assert set(index["Projection"]["NonKeyAttributes"]) == read | {"name"}
    # `expires` is the lease's: a lease that DynamoDB deleted would lose its fence
    assert table["TimeToLiveSpecification"] == {"AttributeName": "delete_after", "Enabled": True}


def test_the_machine_s_name_is_the_one_functions_are_told(resources):
    name = resources["ReleaseStateMachine"]["Properties"]["StateMachineName"]["Fn::Sub"]
    told = resources["AdmitFunction"]["Properties"]["Environment"]["Variables"]["STATE_MACHINE_ARN"]["Fn::Sub"]
    assert told.endswith(f":stateMachine:{name}")


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - EVENT_FUNCTIONS))
def test_a_function_stops_before_its_state_gives_up(name, resources):
    # else the workflow goes on while the function still acts
    timeout = resources[f"{name}Function"]["Properties"]["Timeout"]
    assert timeout <= definition()["States"][name]["TimeoutSeconds"]


def test_the_outputs_are_the_ones_the_command_line_reads(template):
    read = {"UploadBucket", "ApprovedBucket", "ReleaseTable", "ReleasesTopicArn", "StateMachineArn"}
    assert set(template["Outputs"]) == read | {"ApiUrl", "DashboardUrl"}


def test_every_parameter_is_described_bounded_and_shown(template):
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert {name for group in groups for name in group["Parameters"]} == set(template["Parameters"])
    for name, parameter in template["Parameters"].items():
        assert parameter["Description"], name
        assert "Default" in parameter, f"{name}: sam deploy must work without questions"
        assert parameter.keys() & {"AllowedPattern", "AllowedValues", "MaxValue"}, name


def test_the_image_table_is_as_the_generator_writes_it(template):
    # the accounts come from sagemaker-core, which is not installed here: the form and the version are checked
    serving = template["Mappings"]["ServingImage"]["TensorFlow"]
    accounts = {region: one["Id"] for region, one in template["Mappings"]["ServingImageAccount"].items()}
    python = serving["GpuTag"].rpartition("-")[2]
    text = make_image_table.block(make_image_table.VERSION, serving["Repository"], python, accounts)
    assert text in make_image_table.TEMPLATE.read_text()
    assert {"us-east-1", "eu-central-1", "ap-northeast-1", "us-gov-west-1"} <= set(accounts)
    assert all(re.fullmatch(r"\d{12}", account) for account in accounts.values())


def test_the_sample_model_s_tensorflow_is_the_serving_image_s(template):
    tag = template["Mappings"]["ServingImage"]["TensorFlow"]["CpuTag"]
    here = importlib.metadata.version("tensorflow-cpu")
    assert here.split(".")[:2] == tag.split("-")[0].split(".")[:2]


def locked_packages() -> set[str]:
    """The distributions that functions/requirements.txt installs."""
    text = (ROOT / "functions" / "requirements.txt").read_text()
    return set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))


def test_the_deployment_package_stays_small():
    installed = {path.resolve() for name in locked_packages() - BOTO3 for path in files_of(name)}
    ours = set((ROOT / "functions" / "modeldrop").rglob("*.py"))
    assert sum(path.stat().st_size for path in installed | ours) <= PACKAGE_BUDGET_BYTES


def files_of(distribution: str) -> list[Path]:
    """The files of one installed distribution, without compiled copies."""
    found = importlib.metadata.files(distribution) or []
    paths = (Path(str(file.locate())) for file in found if not str(file).endswith(".pyc"))
    return [path for path in paths if path.is_file()]
