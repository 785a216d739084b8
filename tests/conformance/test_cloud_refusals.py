"""What is not covered says so: an error of AWS's shape that names service and action."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError


@pytest.mark.parametrize(
    ("service", "call", "arguments", "named"),
    [
        ("cloudformation", "create_stack_set", {"StackSetName": "a"}, "cloudformation CreateStackSet"),
        ("stepfunctions", "redrive_execution", {"executionArn": "arn:x"}, "states RedriveExecution"),
        ("lambda", "get_account_settings", {}, "lambda GetAccountSettings"),
        ("s3", "get_bucket_metadata_configuration", {"Bucket": "no-such-bucket"}, None),
        ("cloudwatch", "list_metric_streams", {}, "monitoring ListMetricStreams"),
        ("translate", "list_languages", {}, "translate ListLanguages"),
        ("dynamodb", "list_contributor_insights", {}, "dynamodb ListContributorInsights"),
        ("iam", "get_service_last_accessed_details", {"JobId": "x" * 36}, "iam GetServiceLastAccessedDetails"),
    ],
)
def test_an_api_that_is_not_covered_names_itself(client, service, call, arguments, named):
    with pytest.raises(ClientError) as refused:
        getattr(client(service), call)(**arguments)
    error = refused.value.response["Error"]
    if named is None:
        assert error["Code"]
        return
    assert error["Code"] == "NotImplemented", error
    assert error["Message"] == f"the local cloud does not implement {named}"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_calling_a_deployed_api_says_what_to_call_instead(cloud):
    request = urllib.request.Request(
        f"{cloud.url}/live/endpoints/sentiment/invocations",
        b"{}",
        {"Host": "abc123.execute-api.us-east-1.amazonaws.com", "Content-Type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    with refused.value as answer:
        assert answer.code == 501
        assert "InvokeEndpoint" in json.loads(answer.read())["message"]
