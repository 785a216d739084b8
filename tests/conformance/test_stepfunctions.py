"""State machines behave as on AWS Step Functions.

Sources: Step Functions developer guide ("Transforming data with JSONata", "Handling errors", "Wait for a Callback with
Task Token", "Learning to use AWS service SDK integrations", "Step Functions Execution Status Change"), the API
reference, and the Amazon States Language specification.
"""

from __future__ import annotations

import io
import json
import textwrap
import time
import zipfile

import pytest
from botocore.exceptions import ClientError

DONE = {"SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"}


@pytest.fixture(scope="session")
def machine_role(client):
    document = json.dumps({"Version": "2012-10-17", "Statement": []})
    return client("iam").create_role(RoleName="states-conformance", AssumeRolePolicyDocument=document)["Role"]["Arn"]


@pytest.fixture
def machine(client, machine_role, unique):
    """Create a JSONata state machine from its states and return its ARN."""

    def create(states: dict, start: str | None = None, **top) -> str:
        document = {"QueryLanguage": "JSONata", "StartAt": start or next(iter(states)), "States": states, **top}
        answer = client("stepfunctions").create_state_machine(
            name=unique("machine"), definition=json.dumps(document), roleArn=machine_role
        )
        return answer["stateMachineArn"]

    return create


@pytest.fixture
def run(client, eventually):
    """Start an execution and return its description at the end."""

    def start(arn: str, given: object = None, **options) -> dict:
        sfn = client("stepfunctions")
        execution = sfn.start_execution(stateMachineArn=arn, input=json.dumps(given or {}), **options)["executionArn"]

        def ended():
            found = sfn.describe_execution(executionArn=execution)
            return found if found["status"] in DONE else None

        return eventually(ended)

    return start


@pytest.fixture
def function(client, machine_role, unique):
    def create(source: str, timeout: int = 10) -> str:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("app.py", textwrap.dedent(source))
        return client("lambda").create_function(
            FunctionName=unique("state-function"),
            Runtime="python3.13",
            Handler="app.handler",
            Role=machine_role,
            Timeout=timeout,
            Code={"ZipFile": buffer.getvalue()},
        )["FunctionArn"]

    return create


def invoke(arn: str, **fields) -> dict:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": arn, "Payload": "{% $states.input %}"},
        "Output": "{% $states.result.Payload %}",
        "End": True,
        **fields,
    }


def test_jsonata_sees_input_context_and_variables(machine, run):
    arn = machine(
        {
            "Remember": {
                "Type": "Pass",
                "Assign": {"quote": "{% $states.input.text %}", "n": "{% $states.input.n %}"},
                "Next": "Answer",
            },
            "Answer": {
                "Type": "Pass",
                "Output": {
                    "text": "{% $quote & '!' %}",
                    "sum": "{% $n + 1 %}",
                    "none": "{% $states.input.nothing %}",
                    "name": "{% $states.context.Execution.Name %}",
                    "parsed": "{% $parse('{\"a\": [1, null]}') %}",
                },
                "End": True,
            },
        }
    )
    found = run(arn, {"text": 'say "hi" \\ $n', "n": 41, "nothing": None}, name="named")
    assert json.loads(found["output"]) == {
        "text": 'say "hi" \\ $n!',
        "sum": 42,
        "none": None,
        "name": "named",
        "parsed": {"a": [1, None]},
    }


@pytest.mark.parametrize(
    ("expression", "cause"),
    [("$states.input.missing", "returned nothing (undefined)"), ("1 / 0", "could not be evaluated")],
)
def test_an_expression_without_a_value_is_a_query_evaluation_error(machine, run, expression, cause):
    found = run(machine({"Ask": {"Type": "Pass", "Output": "{% " + expression + " %}", "End": True}}))
    assert found["status"] == "FAILED"
    assert found["error"] == "States.QueryEvaluationError"
    assert cause in found["cause"]


@pytest.mark.parametrize("field", ["Arguments", "Output"])
def test_a_query_evaluation_error_of_a_task_can_be_caught(machine, run, function, field):
    task = invoke(function("def handler(event, context): return 1"))
    task[field] = {"FunctionName": "x", "Payload": "{% $states.result.nope.nope %}"}
    task["Catch"] = [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "Caught"}]
    found = run(machine({"Work": task, "Caught": {"Type": "Succeed"}}))
    assert found["status"] == "SUCCEEDED", found


def test_a_lambda_error_is_caught_by_its_class_name(machine, run, function):
    arn = function("class RejectedError(Exception): pass\ndef handler(event, context): raise RejectedError('bad tar')")
    task = invoke(arn)
    task["Catch"] = [
        {"ErrorEquals": ["OtherError"], "Next": "Wrong"},
        {"ErrorEquals": ["RejectedError"], "Output": "{% $states.errorOutput %}", "Next": "Told"},
    ]
    found = run(machine({"Work": task, "Wrong": {"Type": "Fail"}, "Told": {"Type": "Succeed"}}))
    output = json.loads(found["output"])
    assert output["Error"] == "RejectedError"
    assert json.loads(output["Cause"])["errorMessage"] == "bad tar"


def test_states_all_does_not_catch_states_runtime(machine, run):
    task = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:ssm:getParameter", "Arguments": {}, "End": True}
    task["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    found = run(machine({"Call": task, "Caught": {"Type": "Succeed"}}))
    assert (found["status"], found["error"]) == ("FAILED", "States.Runtime")


def test_retry_waits_and_counts(machine, run, function):
    arn = function("n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    assert n > 2\n    return n\n")
    task = invoke(arn, Retry=[{"ErrorEquals": ["AssertionError"], "IntervalSeconds": 1, "MaxAttempts": 3}])
    began = time.monotonic()
    assert json.loads(run(machine({"Work": task}))["output"]) == 3
    assert time.monotonic() - began >= 3  # 1 s, then 2 s


def test_a_task_out_of_time_is_states_timeout(machine, run, function):
    slow = function("import time\ndef handler(event, context): time.sleep(30)", 40)
    task = invoke(slow, TimeoutSeconds=1, Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "Late"}])
    began = time.monotonic()
    assert run(machine({"Work": task, "Late": {"Type": "Succeed"}}))["status"] == "SUCCEEDED"
    assert time.monotonic() - began < 30  # before the function would have answered


def test_an_execution_out_of_time_is_timed_out(machine, run, client):
    found = run(machine({"Sleep": {"Type": "Wait", "Seconds": 30, "End": True}}, TimeoutSeconds=1))
    assert found["status"] == "TIMED_OUT"
    assert "stopDate" in found
    events = client("stepfunctions").get_execution_history(executionArn=found["executionArn"])["events"]
    assert events[-1]["type"] == "ExecutionTimedOut"


def test_wait_waits_for_its_seconds(machine, run):
    began = time.monotonic()
    run(machine({"Sleep": {"Type": "Wait", "Seconds": "{% $states.input.seconds %}", "End": True}}), {"seconds": 1})
    assert time.monotonic() - began >= 1


def test_the_same_name_and_input_gives_the_running_execution_and_is_refused_after(machine, client, eventually):
    sfn = client("stepfunctions")
    arn = machine({"Sleep": {"Type": "Wait", "Seconds": 1, "End": True}})
    first, second = (sfn.start_execution(stateMachineArn=arn, name="once", input='{"a": 1}') for _ in range(2))
    assert first["executionArn"] == second["executionArn"]
    with pytest.raises(sfn.exceptions.ExecutionAlreadyExists):
        sfn.start_execution(stateMachineArn=arn, name="once", input='{"a": 2}')
    eventually(lambda: sfn.describe_execution(executionArn=first["executionArn"])["status"] == "SUCCEEDED")
    with pytest.raises(sfn.exceptions.ExecutionAlreadyExists):
        sfn.start_execution(stateMachineArn=arn, name="once", input='{"a": 1}')


def test_an_execution_without_a_name_gets_one(machine, client):
    sfn = client("stepfunctions")
    arn = machine({"Done": {"Type": "Succeed"}})
    found = {sfn.start_execution(stateMachineArn=arn)["executionArn"].rsplit(":", 1)[1] for _ in range(2)}
    assert len(found) == 2
    assert "None" not in found


def test_stop_execution_ends_it_at_once_with_error_and_cause(machine, client):
    sfn = client("stepfunctions")
    arn = machine({"Sleep": {"Type": "Wait", "Seconds": 60, "End": True}})
    execution = sfn.start_execution(stateMachineArn=arn)["executionArn"]
    sfn.stop_execution(executionArn=execution, error="Operator", cause="enough")
    found = sfn.describe_execution(executionArn=execution)
    assert (found["status"], found["error"], found["cause"]) == ("ABORTED", "Operator", "enough")
    last = sfn.get_execution_history(executionArn=execution, reverseOrder=True)["events"][0]
    assert last["type"] == "ExecutionAborted"


def test_a_callback_succeeds_with_the_output_sent(machine, client, unique, eventually):
    sqs, sfn = client("sqs"), client("stepfunctions")
    url = sqs.create_queue(QueueName=unique("callback"))["QueueUrl"]
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Arguments": {"QueueUrl": url, "MessageBody": {"token": "{% $states.context.Task.Token %}"}},
        "TimeoutSeconds": 20,
        "End": True,
    }
    execution = sfn.start_execution(stateMachineArn=machine({"Ask": task}))["executionArn"]
    message = eventually(lambda: sqs.receive_message(QueueUrl=url).get("Messages"))[0]
    sfn.send_task_success(taskToken=json.loads(message["Body"])["token"], output='{"yes": true}')
    eventually(lambda: sfn.describe_execution(executionArn=execution)["status"] == "SUCCEEDED")
    assert json.loads(sfn.describe_execution(executionArn=execution)["output"]) == {"yes": True}


def test_a_lambda_callback_fails_with_the_error_and_cause_sent(machine, client, function, unique, eventually):
    sqs, sfn = client("sqs"), client("stepfunctions")
    url = sqs.create_queue(QueueName=unique("token"))["QueueUrl"]
    arn = function(
        f"""
        import boto3
        def handler(event, context):
            boto3.client("sqs").send_message(QueueUrl="{url}", MessageBody=event["token"])
        """
    )
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Arguments": {"FunctionName": arn, "Payload": {"token": "{% $states.context.Task.Token %}"}},
        "TimeoutSeconds": 30,
        "End": True,
    }
    execution = sfn.start_execution(stateMachineArn=machine({"Ask": task}))["executionArn"]
    message = eventually(lambda: sqs.receive_message(QueueUrl=url).get("Messages"))[0]
    sfn.send_task_failure(taskToken=message["Body"], error="Denied", cause="not today")
    found = eventually(lambda: (d := sfn.describe_execution(executionArn=execution))["status"] != "RUNNING" and d)
    assert (found["status"], found["error"], found["cause"]) == ("FAILED", "Denied", "not today")


def test_a_missed_heartbeat_is_a_heartbeat_timeout(machine, run, client, unique):
    url = client("sqs").create_queue(QueueName=unique("heart"))["QueueUrl"]
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Arguments": {"QueueUrl": url, "MessageBody": "{% $states.context.Task.Token %}"},
        "HeartbeatSeconds": 1,
        "TimeoutSeconds": 20,
        "End": True,
    }
    assert run(machine({"Ask": task}))["error"] == "States.HeartbeatTimeout"
    caught = {**task, "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "Late"}]}
    assert run(machine({"Ask": caught, "Late": {"Type": "Succeed"}}))["status"] == "SUCCEEDED"


def test_an_sdk_integration_answers_json_with_iso_times(machine, run, client, unique):
    name = f"/{unique('parameter')}"
    client("ssm").put_parameter(Name=name, Value="v", Type="String")
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:ssm:getParameter",
        "Arguments": {"Name": name},
        "End": True,
    }
    parameter = json.loads(run(machine({"Get": task}))["output"])["Parameter"]
    assert parameter["Value"] == "v"
    assert parameter["LastModifiedDate"].endswith("Z")


@pytest.mark.parametrize(
    ("resource", "arguments", "error"),
    [
        ("ssm:getParameter", {"Name": "/nowhere"}, "Ssm.ParameterNotFoundException"),
        ("s3:headBucket", {"Bucket": "no-such-bucket-here"}, "S3.S3Exception"),
        ("dynamodb:describeTable", {"TableName": "nothing"}, "DynamoDb.ResourceNotFoundException"),
        ("sfn:describeExecution", {"ExecutionArn": "x"}, "Sfn.InvalidArnException"),
        ("ssm:getParameter", {"Name": "/a", "Nmae": 1}, "States.Runtime"),
        ("ssm:getParameter", {}, "States.Runtime"),
    ],
)
def test_errors_of_sdk_integrations_have_their_service_prefix(machine, run, resource, arguments, error):
    task = {"Type": "Task", "Resource": f"arn:aws:states:::aws-sdk:{resource}", "Arguments": arguments, "End": True}
    found = run(machine({"Call": task}))
    assert found["error"] == error, found


def test_the_optimized_dynamodb_integration_names_the_failed_condition(machine, run, client, unique):
    table = unique("table")
    client("dynamodb").create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:updateItem",
        "Arguments": {
            "TableName": table,
            "Key": {"k": {"S": "lease"}},
            "UpdateExpression": "SET #o = :o",
            "ConditionExpression": "attribute_not_exists(#o)",
            "ExpressionAttributeNames": {"#o": "owner"},
            "ExpressionAttributeValues": {":o": {"S": "{% $states.context.Execution.Name %}"}},
        },
        "Output": "{% $states.input %}",
        "End": True,
    }
    arn = machine({"Take": task})
    assert run(arn)["status"] == "SUCCEEDED"
    assert run(arn)["error"] == "DynamoDB.ConditionalCheckFailedException"


def test_choice_and_parallel_and_map_run(machine, run):
    arn = machine(
        {
            "Fan": {
                "Type": "Map",
                "Items": "{% $states.input.items %}",
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "INLINE"},
                    "StartAt": "Double",
                    "States": {"Double": {"Type": "Pass", "Output": "{% $states.input * 2 %}", "End": True}},
                },
                "Next": "Both",
            },
            "Both": {
                "Type": "Parallel",
                "Branches": [
                    {
                        "StartAt": "A",
                        "States": {"A": {"Type": "Pass", "Output": "{% $sum($states.input) %}", "End": True}},
                    },
                    {"StartAt": "B", "States": {"B": {"Type": "Pass", "Output": "b", "End": True}}},
                ],
                "Next": "Choose",
            },
            "Choose": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $states.input[0] = 12 %}", "Next": "Right"}],
                "Default": "Wrong",
            },
            "Right": {"Type": "Succeed", "Output": "{% $states.input %}"},
            "Wrong": {"Type": "Fail", "Error": "Sum", "Cause": "{% $string($states.input) %}"},
        }
    )
    found = run(arn, {"items": [1, 2, 3]})
    assert found["status"] == "SUCCEEDED", found
    assert json.loads(found["output"]) == [12, "b"]


@pytest.mark.parametrize(
    "document",
    [
        {"StartAt": "Nowhere", "States": {"A": {"Type": "Succeed"}}},
        {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "Gone"}}},
        {"StartAt": "A", "States": {"A": {"Type": "Pass"}}},
    ],
)
def test_a_definition_that_leads_nowhere_is_refused(client, machine_role, unique, document):
    with pytest.raises(ClientError) as refused:
        client("stepfunctions").create_state_machine(
            name=unique("broken"), definition=json.dumps(document), roleArn=machine_role
        )
    assert refused.value.response["Error"]["Code"] == "InvalidDefinition"


def test_a_status_change_is_an_event_on_the_default_bus(machine, run, client, unique, eventually):
    sqs, events = client("sqs"), client("events")
    url = sqs.create_queue(QueueName=unique("status"))["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    arn = machine({"Work": {"Type": "Fail", "Error": "Broken", "Cause": "by design"}})
    rule = unique("status-rule")
    pattern = {"source": ["aws.states"], "detail": {"stateMachineArn": [arn], "status": ["FAILED"]}}
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": queue}])
    found = run(arn, {"a": 1})
    message = json.loads(eventually(lambda: sqs.receive_message(QueueUrl=url).get("Messages"))[0]["Body"])
    assert message["detail-type"] == "Step Functions Execution Status Change"
    assert message["resources"] == [found["executionArn"]]
    detail = message["detail"]
    assert detail["status"] == "FAILED"
    assert json.loads(detail["input"]) == {"a": 1}
    assert (detail["error"], detail["cause"], detail["output"]) == ("Broken", "by design", None)


def test_a_large_definition_starts_fast(machine, client):
    states = {f"S{n}": {"Type": "Pass", "Output": "{% $states.input %}", "Next": f"S{n + 1}"} for n in range(40)}
    arn = machine({**states, "S40": {"Type": "Succeed"}})
    began = time.monotonic()
    client("stepfunctions").start_execution(stateMachineArn=arn)
    assert time.monotonic() - began < 1
