"""An unmodified SAM application builds, deploys and runs: bucket, rule, state machine, function.

Sources: AWS SAM specification; SAM CLI reference, `sam build` and `sam deploy --resolve-s3`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

TEMPLATE = """
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Greeting: {Type: String, Default: hello}
Globals:
  Function: {Runtime: python3.13, Timeout: 10, CodeUri: src/}
Resources:
  Inbox:
    Type: AWS::S3::Bucket
    Properties:
      NotificationConfiguration: {EventBridgeConfiguration: {EventBridgeEnabled: true}}
  Greet:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
      AutoPublishAlias: live
      Environment: {Variables: {GREETING: !Ref Greeting}}
      Policies: [AWSLambdaBasicExecutionRole]
  Flow:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionUri: flow.asl.json
      DefinitionSubstitutions: {Function: !Ref Greet.Version}
      Policies: [LambdaInvokePolicy: {FunctionName: !Ref Greet}]
      Events:
        Arrived:
          Type: EventBridgeRule
          Properties:
            Pattern:
              source: [aws.s3]
              detail-type: [Object Created]
              detail: {bucket: {name: [!Ref Inbox]}}
Outputs:
  Inbox: {Value: !Ref Inbox}
  Flow: {Value: !Ref Flow}
  Version: {Value: !Ref Greet.Version}
"""
FLOW = {
    "QueryLanguage": "JSONata",
    "StartAt": "Greet",
    "States": {
        "Greet": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": {"FunctionName": "${Function}", "Payload": {"name": "{% $states.input.detail.object.key %}"}},
            "Output": "{% $states.result.Payload %}",
            "End": True,
        }
    },
}
SOURCE = """
import os
def handler(event, context):
    return f"{os.environ['GREETING']} {event['name']}"
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory, cloud):
    """A SAM application on disk, and a way to run sam on it."""
    root: Path = tmp_path_factory.mktemp("app")
    (root / "src").mkdir()
    (root / "src" / "app.py").write_text(textwrap.dedent(SOURCE))
    (root / "template.yaml").write_text(TEMPLATE)
    (root / "flow.asl.json").write_text(json.dumps(FLOW))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    quiet = {"SAM_CLI_TELEMETRY": "0", "SAM_CLI_POLL_DELAY": "0.5", "HOME": str(root)}
    environment = {**os.environ, **cloud.environment(), **quiet, "PATH": path}

    def sam(*arguments: str) -> str:
        done = subprocess.run(
            ["sam", *arguments], cwd=root, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    sam("build")
    sam.deploy = lambda *more: sam(
        "deploy", "--stack-name", "sam-app", "--resolve-s3", "--no-confirm-changeset", "--no-fail-on-empty-changeset",
        "--capabilities", "CAPABILITY_IAM", *more,
    )  # fmt: skip
    sam.deploy()
    return sam


def outputs(client):
    stack = client("cloudformation").describe_stacks(StackName="sam-app")["Stacks"][0]
    return {out["OutputKey"]: out["OutputValue"] for out in stack["Outputs"]}


def answer_to_an_upload(client, eventually, key):
    found = outputs(client)
    client("s3").put_object(Bucket=found["Inbox"], Key=key, Body=b"x")

    def finished():
        executions = client("stepfunctions").list_executions(stateMachineArn=found["Flow"])["executions"]
        for execution in executions:
            row = client("stepfunctions").describe_execution(executionArn=execution["executionArn"])
            if key in row["input"] and row["status"] != "RUNNING":
                return row
        return None

    return eventually(finished)


def test_an_upload_runs_the_state_machine_and_its_function(app, client, eventually):
    row = answer_to_an_upload(client, eventually, "first.txt")
    assert row["status"] == "SUCCEEDED", row
    assert json.loads(row["output"]) == "hello first.txt"


def test_an_update_publishes_a_new_version_and_keeps_the_bucket(app, client, eventually):
    before = outputs(client)
    app.deploy("--parameter-overrides", "Greeting=bye")
    after = outputs(client)
    assert (after["Inbox"], after["Flow"]) == (before["Inbox"], before["Flow"])
    row = answer_to_an_upload(client, eventually, "second.txt")
    # SAM publishes a version when the code changes, not when a parameter does: the pinned one still greets as before
    assert json.loads(row["output"]) == "hello second.txt"
    assert after["Version"] == before["Version"]


def test_deploying_the_same_again_changes_nothing(app):
    assert "No changes to deploy" in app.deploy("--parameter-overrides", "Greeting=bye")
