"""What unpatched moto lacks: a test that fails here says that moto closed a gap, and that our patch may go.

This process does not load the local cloud's extensions, so it sees moto as it is published.
"""

from __future__ import annotations

import inspect

import pytest


def test_moto_takes_a_conditional_deny_for_an_unconditional_one():
    from moto.iam.access_control import IAMPolicyStatement, PermissionResult

    statement = IAMPolicyStatement(
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": "*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )
    assert statement.is_action_permitted("s3:PutObject", "arn:aws:s3:::b/k") == PermissionResult.DENIED


def test_moto_has_no_jsonata_engine():
    from moto.stepfunctions.parser.asl.jsonata.jsonata import eval_jsonata_expression

    with pytest.raises(TypeError):
        eval_jsonata_expression("1")


def test_moto_breaks_jsonata_variables_that_hold_a_quote():
    from moto.stepfunctions.parser.asl.jsonata.jsonata import encode_jsonata_variable_declarations

    assert encode_jsonata_variable_declarations({"$a": 'say "hi"'}) == '$a:="say "hi"";'


def test_moto_lets_states_all_catch_terminal_errors():
    from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl

    assert "StatesRuntime" not in inspect.getsource(ErrorEqualsDecl._eval_body)


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("moto.stepfunctions.responses:StepFunctionResponse.send_task_failure", "cause"),
        ("moto.stepfunctions.responses:StepFunctionResponse.get_execution_history", "reverseOrder"),
        ("moto.stepfunctions.parser.models:StepFunctionsParserBackend.start_execution", "uuid"),
        ("moto.awslambda.models:LambdaFunction.__init__", "LoggingConfig"),
        ("moto.awslambda.models:LambdaFunction.update_configuration", "TracingConfig"),
        ("moto.awslambda.responses:LambdaResponse.invoke", '"Qualifier"'),
        ("moto.cloudformation.models:CloudFormationBackend.execute_change_set", "ROLLBACK"),
    ],
)
def test_moto_still_lacks_it(where, what):
    module, path = where.split(":")
    found = __import__(module, fromlist=["_"])
    for name in path.split("."):
        found = getattr(found, name)
    assert what not in inspect.getsource(found)


@pytest.mark.parametrize("kind", ["AWS::Lambda::Alias", "AWS::CloudWatch::Alarm", "AWS::S3::BucketPolicy"])
def test_moto_has_no_resource_provider_for_it(kind):
    from moto.cloudformation.parsing import get_model_map

    assert kind not in get_model_map()
