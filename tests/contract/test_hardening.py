"""The stack as CloudFormation sees it: data is kept and closed, rights are narrow, silence is noticed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.translated import translated

RESOURCES: dict[str, Any] = translated()["Resources"]

# Statements that may say Resource "*", and why: these actions know no resource (Service Authorization Reference)
ANY_RESOURCE = {
    "cloudwatch:PutMetricData": "no resource type; pinned by cloudwatch:namespace",
    "cloudwatch:GetMetricData": "no resource type",
    "cloudwatch:DescribeAlarms": "SageMaker and we ask by name, CloudWatch authorises the list",
    "application-autoscaling:DescribeScalableTargets": "no resource type",
    "application-autoscaling:DescribeScalingPolicies": "no resource type",
    "servicequotas:ListServiceQuotas": "no resource type for reading",
    "ecr:GetAuthorizationToken": "no resource type",
    "xray:PutTraceSegments": "no resource type",
    "xray:PutTelemetryRecords": "no resource type",
    "xray:GetSamplingRules": "no resource type",
    "xray:GetSamplingTargets": "no resource type",
    "logs:CreateLogDelivery": "log delivery of Step Functions knows no resource",
    "logs:GetLogDelivery": "log delivery of Step Functions knows no resource",
    "logs:UpdateLogDelivery": "log delivery of Step Functions knows no resource",
    "logs:DeleteLogDelivery": "log delivery of Step Functions knows no resource",
    "logs:ListLogDeliveries": "log delivery of Step Functions knows no resource",
    "logs:PutResourcePolicy": "log delivery of Step Functions knows no resource",
    "logs:DescribeResourcePolicies": "log delivery of Step Functions knows no resource",
    "logs:DescribeLogGroups": "log delivery of Step Functions knows no resource",
}
HOLDS_DATA = {"UploadBucket", "ApprovedBucket", "ReleaseTable"}


def of(kind: str) -> dict[str, Any]:
    """Properties of every resource of a type, by logical id."""
    return {name: one.get("Properties", {}) for name, one in RESOURCES.items() if one["Type"] == kind}


def as_list(value: Any) -> list[Any]:
    """What IAM lets be one thing or many, as many."""
    return value if isinstance(value, list) else [value]


def statements(role: str) -> Iterator[dict[str, Any]]:
    """Every statement of a role's inline policies."""
    for policy in RESOURCES[role]["Properties"].get("Policies", []):
        for statement in as_list(policy["PolicyDocument"]["Statement"]):
            # a statement that a parameter switches on is held to the same rules
            yield statement["Fn::If"][1] if "Fn::If" in statement else statement


def allowed(role: str) -> Iterator[dict[str, Any]]:
    """Every allowing statement of a role."""
    return (one for one in statements(role) if one["Effect"] == "Allow")


def policy_statements(kind: str, target: str) -> list[dict[str, Any]]:
    """The statements of the resource policies that name a resource."""
    found = [one for one in of(kind).values() if f'"Ref": "{target}"' in json.dumps(one)]
    return [statement for one in found for statement in one["PolicyDocument"]["Statement"]]


ROLES = list(of("AWS::IAM::Role"))
BUCKETS = list(of("AWS::S3::Bucket"))
QUEUES = list(of("AWS::SQS::Queue"))
FUNCTIONS = list(of("AWS::Lambda::Function"))
RULES = list(of("AWS::Events::Rule"))


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_is_closed_versioned_encrypted_and_tidied(name):
    bucket = of("AWS::S3::Bucket")[name]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    rules = bucket["LifecycleConfiguration"]["Rules"]
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)
    assert all(rule["Status"] == "Enabled" for rule in rules)


def test_no_lifecycle_rule_can_remove_what_is_live_or_a_policy():
    for bucket in of("AWS::S3::Bucket").values():
        for rule in bucket["LifecycleConfiguration"]["Rules"]:
            if "ExpirationInDays" in rule:
                assert rule["Prefix"] in ("rehearsal/", "captures/")


@pytest.mark.parametrize(
    ("kind", "name"),
    [("AWS::S3::BucketPolicy", name) for name in BUCKETS]
    + [("AWS::SQS::QueuePolicy", name) for name in QUEUES]
    + [("AWS::SNS::TopicPolicy", "ReleasesTopic")],
)
def test_nothing_is_reached_without_tls(kind, name):
    denials = [one for one in policy_statements(kind, name) if one["Effect"] == "Deny" and one["Principal"] == "*"]
    assert {"Bool": {"aws:SecureTransport": "false"}} in [one["Condition"] for one in denials]


def test_only_validation_writes_what_is_served():
    (guard,) = [
        one
        for one in policy_statements("AWS::S3::BucketPolicy", "ApprovedBucket")
        if one["Sid"] == "OnlyValidationApproves"
    ]
    assert guard["Effect"] == "Deny"
    assert guard["Action"] == "s3:PutObject"
    assert guard["Resource"] == {"Fn::Sub": "${ApprovedBucket.Arn}/approved/*"}
    assert guard["Condition"]["ArnNotEquals"]["aws:PrincipalArn"] == {
        "Fn::GetAtt": ["ValidateArtifactFunctionRole", "Arn"]
    }
    writers = {
        role
        for role in ROLES
        for one in allowed(role)
        if "s3:PutObject" in as_list(one["Action"])
        and "${ApprovedBucket.Arn}/approved/*" in json.dumps(one["Resource"])
    }
    assert writers == {"ValidateArtifactFunctionRole"}


@pytest.mark.parametrize("name", sorted(HOLDS_DATA))
def test_what_holds_data_outlives_the_stack(name):
    assert RESOURCES[name]["DeletionPolicy"] == "Retain"
    assert RESOURCES[name]["UpdateReplacePolicy"] == "Retain"


def test_the_table_can_be_brought_back():
    (table,) = of("AWS::DynamoDB::Table").values()
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["DeletionProtectionEnabled"] is True
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_is_encrypted_kept_long_and_fed_by_our_rules_only(name):
    queue = of("AWS::SQS::Queue")[name]
    assert queue["SqsManagedSseEnabled"] is True
    assert queue["MessageRetentionPeriod"] == 14 * 86_400
    senders = [one for one in policy_statements("AWS::SQS::QueuePolicy", name) if one["Effect"] == "Allow"]
    assert senders
    for one in senders:
        assert one["Action"] == "sqs:SendMessage"
        sources = one["Condition"]["ArnEquals"]["aws:SourceArn"]
        assert {source["Fn::GetAtt"][0] for source in sources} <= set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_retries_and_keeps_what_it_can_not_deliver(name):
    for target in of("AWS::Events::Rule")[name]["Targets"]:
        assert target["RetryPolicy"]["MaximumRetryAttempts"] >= 1
        queue = target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]
        (senders,) = [one for one in policy_statements("AWS::SQS::QueuePolicy", queue) if one["Effect"] == "Allow"]
        assert {"Fn::GetAtt": [name, "Arn"]} in senders["Condition"]["ArnEquals"]["aws:SourceArn"]


@pytest.mark.parametrize("name", ["AdmitFunction", "ReconcileFunction"])
def test_an_event_that_a_function_fails_on_is_kept(name):
    # the rule's dead letters hold what was not delivered; what was delivered and failed is Lambda's to keep
    assert of("AWS::Lambda::Function")[name]["DeadLetterConfig"]["TargetArn"]["Fn::GetAtt"][0] in QUEUES


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_a_role_of_its_own_a_trace_and_a_log_that_ends(name):
    function = of("AWS::Lambda::Function")[name]
    assert function["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}
    assert function["TracingConfig"] == {"Mode": "Active"}
    assert function["Runtime"] == "python3.13"
    assert function["Architectures"] == ["x86_64"]
    group = function["LoggingConfig"]["LogGroup"]["Ref"]
    assert RESOURCES[group]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_no_function_takes_concurrency_away_from_others():
    # every write is conditional, so two of one kind do no harm; a new account has ten in all and may reserve none
    assert [name for name in FUNCTIONS if "ReservedConcurrentExecutions" in of("AWS::Lambda::Function")[name]] == []


def test_every_log_group_ends():
    for name, group in of("AWS::Logs::LogGroup").items():
        assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}, name


@pytest.mark.parametrize("name", ROLES)
def test_a_role_takes_the_boundary_of_the_stack(name):
    boundary = RESOURCES[name]["Properties"]["PermissionsBoundary"]
    assert boundary == {"Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]}


@pytest.mark.parametrize("name", ROLES)
def test_a_role_names_its_actions_in_full(name):
    for one in allowed(name):
        assert "NotAction" not in one
        assert "NotResource" not in one
        assert not [action for action in as_list(one["Action"]) if "*" in action]


@pytest.mark.parametrize("name", ROLES)
def test_a_role_says_any_resource_only_where_there_is_no_other_way(name):
    for one in allowed(name):
        if "*" in as_list(one["Resource"]):
            assert set(as_list(one["Action"])) <= set(ANY_RESOURCE)


def test_the_reviewed_list_has_nothing_that_is_not_used():
    used = {
        a for role in ROLES for one in allowed(role) if "*" in as_list(one["Resource"]) for a in as_list(one["Action"])
    }
    assert used == set(ANY_RESOURCE)


@pytest.mark.parametrize("name", ROLES)
def test_metrics_are_published_in_one_namespace(name):
    for one in allowed(name):
        if "cloudwatch:PutMetricData" in as_list(one["Action"]):
            assert "cloudwatch:namespace" in json.dumps(one["Condition"])


def test_managed_policies_are_the_two_sam_adds():
    attached = {arn for role in of("AWS::IAM::Role").values() for arn in role.get("ManagedPolicyArns", [])}
    assert attached == {
        "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
        "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess",
    }


# services that document aws:SourceAccount for the roles they take; a condition that the others never meet would lock
# them out, and a role can't be passed from another account anyway
SAYS_ACCOUNT = {"sagemaker.amazonaws.com", "states.amazonaws.com"}


@pytest.mark.parametrize("name", ROLES)
def test_a_role_trusts_one_service_and_for_this_account_where_that_says_so(name):
    (trust,) = RESOURCES[name]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    (service,) = as_list(trust["Principal"]["Service"])
    assert set(trust["Principal"]) == {"Service"}
    wanted = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}} if service in SAYS_ACCOUNT else None
    assert trust.get("Condition") == wanted


def test_pass_role_is_pinned_to_one_role_and_to_sagemaker():
    passes = {role: one for role in ROLES for one in allowed(role) if "iam:PassRole" in as_list(one["Action"])}
    assert {role: one["Resource"]["Fn::GetAtt"][0] for role, one in passes.items()} == {
        "RehearseFunctionRole": "RehearsalRole",
        "PrepareRolloutFunctionRole": "EndpointRole",
    }
    for one in passes.values():
        assert one["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


def test_a_service_linked_role_is_made_for_endpoint_scaling_only():
    makers = [one for role in ROLES for one in allowed(role) if "iam:CreateServiceLinkedRole" in as_list(one["Action"])]
    assert makers
    for one in makers:
        assert (
            one["Condition"]["StringEquals"]["iam:AWSServiceName"] == "sagemaker.application-autoscaling.amazonaws.com"
        )
        assert one["Resource"]["Fn::Sub"].endswith("/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint")


def test_a_model_that_meets_users_has_no_network():
    (allow,) = [
        one for one in allowed("PrepareRolloutFunctionRole") if "sagemaker:CreateModel" in as_list(one["Action"])
    ]
    assert allow["Condition"] == {"Bool": {"sagemaker:NetworkIsolation": "true"}}
    (deny,) = [one for one in statements("PrepareRolloutFunctionRole") if one["Effect"] == "Deny"]
    assert deny["Action"] == "sagemaker:CreateModel"
    assert deny["Condition"] == {"Bool": {"sagemaker:NetworkIsolation": "false"}}
    creators = {role for role in ROLES for one in allowed(role) if "sagemaker:CreateModel" in as_list(one["Action"])}
    assert creators == {"PrepareRolloutFunctionRole", "RehearseFunctionRole"}


def test_only_what_a_release_made_is_deleted():
    for role in ROLES:
        for one in allowed(role):
            deleted = [action for action in as_list(one["Action"]) if action.startswith("sagemaker:Delete")]
            if deleted:
                assert one["Condition"] == {"Null": {"aws:ResourceTag/modeldrop:release": "false"}}, role


@pytest.mark.parametrize(
    ("role", "read", "written"), [("EndpointRole", "approved", ["captures"]), ("RehearsalRole", "rehearsal", [])]
)
def test_a_model_s_role_reads_one_prefix_and_writes_captured_answers_at_most(role, read, written):
    def where(*actions):
        found = [one for one in allowed(role) if any(a.startswith(actions) for a in as_list(one["Action"]))]
        return [one["Resource"] for one in found]

    assert where("s3:GetObject") == [{"Fn::Sub": f"${{ApprovedBucket.Arn}}/{read}/*"}]
    assert where("s3:Put") == [{"Fn::Sub": f"${{ApprovedBucket.Arn}}/{prefix}/*"} for prefix in written]
    assert where("s3:Delete", "s3:*") == []


def test_the_state_machine_is_logged_in_full_and_traced():
    (machine,) = of("AWS::StepFunctions::StateMachine").values()
    assert machine["StateMachineType"] == "STANDARD"
    assert machine["LoggingConfiguration"]["Level"] == "ALL"
    assert machine["LoggingConfiguration"]["IncludeExecutionData"] is True
    assert machine["TracingConfiguration"] == {"Enabled": True}
    assert json.loads(machine["DefinitionString"])["TimeoutSeconds"] > 0


def test_a_failed_execution_starts_the_recovery():
    rule = of("AWS::Events::Rule")["FailedExecutionRule"]
    assert set(rule["EventPattern"]["detail"]["status"]) == {"FAILED", "TIMED_OUT", "ABORTED"}
    assert rule["EventPattern"]["detail"]["stateMachineArn"] == [{"Ref": "ReleaseStateMachine"}]
    (target,) = rule["Targets"]
    assert target["Arn"] == {"Ref": "ReleaseStateMachine"}


def alarms_on(metric: str) -> list[dict[str, Any]]:
    """The stack's alarms on one metric."""
    return [one for one in of("AWS::CloudWatch::Alarm").values() if one["MetricName"] == metric]


def test_every_alarm_tells_somebody():
    for name, alarm in of("AWS::CloudWatch::Alarm").items():
        assert alarm["AlarmActions"] == [{"Ref": "ReleasesTopic"}], name
        silence_is_told = alarm["TreatMissingData"] == "missing" and "InsufficientDataActions" in alarm
        assert silence_is_told or alarm["TreatMissingData"] in ("breaching", "notBreaching"), name
        assert alarm["AlarmDescription"]["Fn::Sub"].endswith(f". ${{RunbookUrl}}#{name.lower()}"), name


def test_an_alarm_can_fire():
    # a threshold that its statistic can't pass is an alarm for show
    for name, alarm in of("AWS::CloudWatch::Alarm").items():
        above = (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)
        below = alarm["ComparisonOperator"] == "LessThanThreshold" and "InsufficientDataActions" in alarm
        assert above or below, name


@pytest.mark.parametrize("metric", ["ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"])
def test_an_execution_that_ends_badly_is_an_alarm(metric):
    assert alarms_on(metric)


def test_every_dead_letter_queue_is_watched():
    watched = {
        alarm["Dimensions"][0]["Value"]["Fn::GetAtt"][0] for alarm in alarms_on("ApproximateNumberOfMessagesVisible")
    }
    assert watched == set(QUEUES)


def test_every_rule_is_watched():
    assert {alarm["Dimensions"][0]["Value"]["Ref"] for alarm in alarms_on("FailedInvocations")} == set(RULES)


def test_functions_whose_error_is_never_an_answer_are_watched():
    watched = {alarm["Dimensions"][0]["Value"]["Ref"] for alarm in alarms_on("Errors")}
    assert watched == {f"{name}Function" for name in ("Admit", "Compensate", "FinishRelease", "Notify", "Reconcile")}


def test_a_reconciler_that_falls_silent_is_an_alarm():
    (heartbeat,) = alarms_on("Reconciled")
    assert heartbeat["TreatMissingData"] == "missing"
    assert heartbeat["InsufficientDataActions"] == [{"Ref": "ReleasesTopic"}]
    assert heartbeat["Period"] * heartbeat["EvaluationPeriods"] <= 3_600


def test_alarms_may_publish_and_the_topic_has_no_key_that_swallows_them():
    assert "KmsMasterKeyId" not in of("AWS::SNS::Topic")["ReleasesTopic"]
    (sender,) = [one for one in policy_statements("AWS::SNS::TopicPolicy", "ReleasesTopic") if one["Effect"] == "Allow"]
    assert sender["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert sender["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_the_front_door_asks_for_a_signature_and_is_throttled():
    (api,) = of("AWS::ApiGateway::RestApi").values()
    schemes = api["Body"]["components"]["securitySchemes"]
    for methods in api["Body"]["paths"].values():
        for method in methods.values():
            ((name,),) = [list(one) for one in method["security"]]
            assert schemes[name]["x-amazon-apigateway-authtype"] == "awsSigv4"
    (stage,) = of("AWS::ApiGateway::Stage").values()
    (settings,) = stage["MethodSettings"]
    assert settings["ThrottlingRateLimit"] == {"Ref": "ApiThrottleRate"}
    assert settings["ThrottlingBurstLimit"] == {"Ref": "ApiThrottleBurst"}


def test_the_front_door_passes_statuses_headers_and_bytes():
    (api,) = of("AWS::ApiGateway::RestApi").values()
    method = api["Body"]["paths"]["/endpoints/{endpoint}/invocations"]["post"]
    integration = method["x-amazon-apigateway-integration"]
    assert integration["timeoutInMillis"] == 29_000
    assert {pattern: answer["statusCode"] for pattern, answer in integration["responses"].items()} == {
        "default": "200", r"4\d\d": "400", r"5\d\d": "500"
    }  # fmt: skip
    assert {"400", "500"} <= set(method["responses"])
    passed = {name.rpartition("header.")[2] for name in integration["requestParameters"] if "header" in name}
    assert passed == {"Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes"}
    assert api["Body"]["x-amazon-apigateway-binary-media-types"] == ["*/*"]


def test_the_front_door_opens_endpoints_of_this_stack_only():
    (invoke,) = allowed("ApiRole")
    assert invoke["Action"] == "sagemaker:InvokeEndpoint"
    assert invoke["Condition"] == {"StringEquals": {"aws:ResourceTag/modeldrop:stack": {"Ref": "AWS::StackName"}}}


def test_signature_keys_are_read_below_one_path_and_of_kms_nothing_by_default():
    found = {one["Sid"]: one for one in statements("ValidateArtifactFunctionRole")}
    assert found["SignatureKeys"]["Action"] == "ssm:GetParameter"
    assert found["SignatureKeys"]["Resource"]["Fn::Sub"].endswith(":parameter/modeldrop/*")
    raw = [
        one
        for role in ROLES
        for policy in RESOURCES[role]["Properties"].get("Policies", [])
        for one in as_list(policy["PolicyDocument"]["Statement"])
    ]
    kms = [one for one in raw if "kms:" in json.dumps(one)]
    assert [(list(one), one["Fn::If"][0], one["Fn::If"][2]) for one in kms] == [
        (["Fn::If"], "HasSignatureKey", {"Ref": "AWS::NoValue"})
    ]
    assert kms[0]["Fn::If"][1]["Resource"] == {"Ref": "SignatureKeyArn"}
