"""Stacks behave as on AWS CloudFormation.

Sources: CloudFormation user guide ("Stack creation options", "Understand update behaviors of stack resources",
"DeletionPolicy attribute", "Change sets", "Intrinsic function reference"), the resource provider schemas, and the AWS
SAM specification.
"""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

FINAL = ("COMPLETE", "FAILED")


@pytest.fixture
def stack(client, unique, eventually):
    """Create or update stacks and wait for their end; what is left is deleted."""
    cfn = client("cloudformation")
    names: dict[str, str] = {}

    def end(name: str) -> dict:
        def finished():
            found = cfn.describe_stacks(StackName=name)["Stacks"][0]
            done = found["StackStatus"].endswith(FINAL) and "CLEANUP" not in found["StackStatus"]
            return found if done else None

        return eventually(finished)

    def deploy(template: dict, label: str = "stack", update: bool = False, **options) -> dict:
        name = names.setdefault(label, unique(label))
        call = cfn.update_stack if update else cfn.create_stack
        call(
            StackName=name,
            TemplateBody=json.dumps(template),
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in options.pop("values", {}).items()
            ],
            **options,
        )
        return end(name)

    deploy.end = end
    yield deploy
    for name in names.values():
        cfn.delete_stack(StackName=name)


def outputs(found: dict) -> dict[str, str]:
    return {out["OutputKey"]: out["OutputValue"] for out in found["Outputs"]}


def reasons(client, found: dict) -> dict[str, str]:
    events = client("cloudformation").describe_stack_events(StackName=found["StackId"])["StackEvents"]
    return {
        e["LogicalResourceId"]: e["ResourceStatusReason"] for e in events if e["ResourceStatus"].endswith("_FAILED")
    }


QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {}}


def test_resources_are_made_in_the_order_of_their_references(stack):
    found = stack(
        {
            "Resources": {
                "Policy": {
                    "Type": "AWS::SQS::QueuePolicy",
                    "Properties": {
                        "Queues": [{"Ref": "Queue"}],
                        "PolicyDocument": {
                            "Version": "2012-10-17",
                            "Statement": [
                                {
                                    "Effect": "Allow",
                                    "Principal": {"Service": "events.amazonaws.com"},
                                    "Action": "sqs:SendMessage",
                                    "Resource": {"Fn::GetAtt": ["Queue", "Arn"]},
                                }
                            ],
                        },
                    },
                },
                "Queue": QUEUE,
            },
            "Outputs": {"Url": {"Value": {"Ref": "Queue"}}, "Arn": {"Value": {"Fn::Sub": "<${Queue.Arn}>"}}},
        }
    )
    assert found["StackStatus"] == "CREATE_COMPLETE"
    assert outputs(found)["Arn"].startswith("<arn:aws:sqs:us-east-1:123456789012:")


def test_functions_conditions_and_mappings_are_resolved(stack):
    found = stack(
        {
            "Parameters": {"Stage": {"Type": "String", "Default": "dev"}, "N": {"Type": "Number", "Default": 2}},
            "Mappings": {"Sizes": {"dev": {"Days": "4"}, "prod": {"Days": "9"}}},
            "Conditions": {
                "Prod": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
                "Not": {"Fn::And": [{"Fn::Not": [{"Condition": "Prod"}]}, {"Fn::Equals": ["a", "a"]}]},
            },
            "Resources": {
                "Kept": {
                    "Type": "AWS::SNS::Topic",
                    "Condition": "Not",
                    "Properties": {"DisplayName": {"Ref": "AWS::NoValue"}},
                },
                "Skipped": {"Type": "AWS::SNS::Topic", "Condition": "Prod"},
            },
            "Outputs": {
                "Map": {"Value": {"Fn::FindInMap": ["Sizes", {"Ref": "Stage"}, "Days"]}},
                "Join": {
                    "Value": {"Fn::Join": ["-", ["a", {"Fn::Select": [1, {"Fn::Split": [",", "x,y"]}]}, {"Ref": "N"}]]}
                },
                "Sub": {"Value": {"Fn::Sub": ["${!Literal} ${A} ${AWS::Region}", {"A": {"Fn::If": ["Prod", 1, 2]}}]}},
                "No": {"Condition": "Prod", "Value": {"Ref": "Skipped"}},
            },
        }
    )
    assert outputs(found) == {"Map": "4", "Join": "a-y-2", "Sub": "${Literal} 2 us-east-1"}


def test_a_failed_creation_rolls_back_and_says_why(stack, client):
    found = stack(
        {
            "Resources": {
                "First": {"Type": "AWS::SNS::Topic"},
                "Bad": {"Type": "AWS::SQS::Queue", "DependsOn": "First", "Properties": {"Colour": "green"}},
            }
        }
    )
    assert found["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "extraneous key [Colour] is not permitted" in reasons(client, found)["Bad"]
    events = client("cloudformation").describe_stack_events(StackName=found["StackId"])["StackEvents"]
    assert ("First", "DELETE_COMPLETE") in [(e["LogicalResourceId"], e["ResourceStatus"]) for e in events]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}, "no provider for the resource type"),
        (
            {"Type": "AWS::S3::Bucket", "Properties": {"AccelerateConfiguration": {"AccelerationStatus": "Enabled"}}},
            "support",
        ),
        ({"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": "b"}}, "required key [PolicyDocument]"),
        ({"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": "soon"}}, "expected type integer"),
        ({"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 8}}, "is not one of"),
    ],
)
def test_what_is_not_supported_fails_with_the_reason(stack, client, entry, reason):
    found = stack({"Resources": {"It": entry}})
    assert found["StackStatus"] == "ROLLBACK_COMPLETE"
    assert reason in reasons(client, found)["It"]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ({"Resources": {"A": {"Type": "AWS::Nothing::Here"}}}, "Unrecognized resource types: [AWS::Nothing::Here]"),
        (
            {"Resources": {"A": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Ref": "B"}}}}},
            "dependencies [B]",
        ),
        (
            {
                "Resources": {
                    "A": {"Type": "AWS::SNS::Topic", "DependsOn": "B"},
                    "B": {"Type": "AWS::SNS::Topic", "DependsOn": "A"},
                }
            },
            "Circular dependency",
        ),
        ({"Parameters": {"P": {"Type": "String"}}, "Resources": {"A": QUEUE}}, "[P] must have values"),
        (
            {
                "Parameters": {"P": {"Type": "String", "AllowedPattern": "[a-z]+", "Default": "A1"}},
                "Resources": {"A": QUEUE},
            },
            "must match pattern",
        ),
    ],
)
def test_a_template_that_cannot_be_right_is_refused_at_once(client, unique, template, message):
    with pytest.raises(ClientError) as refused:
        client("cloudformation").create_stack(StackName=unique("refused"), TemplateBody=json.dumps(template))
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    assert message in refused.value.response["Error"]["Message"]


def test_an_update_keeps_physical_ids_and_replaces_only_what_must_be(stack, client):
    def template(days: int, attribute: str) -> dict:
        return {
            "Resources": {
                "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": days}},
                "Table": {
                    "Type": "AWS::DynamoDB::Table",
                    "Properties": {
                        "BillingMode": "PAY_PER_REQUEST",
                        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
                        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
                        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
                    },
                },
                "Topic": {
                    "Type": "AWS::SNS::Topic",
                    "Properties": {
                        "FifoTopic": attribute == "fifo",
                        "TopicName": f"{attribute}-t.fifo" if attribute == "fifo" else "plain-topic",
                    },
                },
            },
            "Outputs": {name: {"Value": {"Ref": name}} for name in ("Logs", "Table", "Topic")},
        }

    before = outputs(stack(template(1, "plain")))
    found = stack(template(7, "fifo"), update=True)
    assert found["StackStatus"] == "UPDATE_COMPLETE"
    after = outputs(found)
    assert (after["Logs"], after["Table"]) == (before["Logs"], before["Table"])
    assert after["Topic"] != before["Topic"]
    group = client("logs").describe_log_groups(logGroupNamePrefix=after["Logs"])["logGroups"][0]
    assert group["retentionInDays"] == 7
    topics = [topic["TopicArn"] for topic in client("sns").list_topics()["Topics"]]
    assert after["Topic"] in topics
    assert before["Topic"] not in topics


def test_a_failed_update_puts_everything_back(stack, client):
    def template(days: int, extra: dict) -> dict:
        logs = {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": days}}
        return {"Resources": {"Logs": logs, **extra}, "Outputs": {"Logs": {"Value": {"Ref": "Logs"}}}}

    before = outputs(stack(template(1, {})))
    bad = {
        "New": {"Type": "AWS::SNS::Topic", "DependsOn": "Logs"},
        "Bad": {
            "Type": "AWS::SNS::Subscription",
            "DependsOn": "New",
            "Properties": {"Protocol": "sqs", "TopicArn": "no"},
        },
    }
    found = stack(template(7, bad), update=True)
    assert found["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert outputs(found) == before
    group = client("logs").describe_log_groups(logGroupNamePrefix=before["Logs"])["logGroups"][0]
    assert group["retentionInDays"] == 1
    resources = client("cloudformation").describe_stack_resources(StackName=found["StackId"])["StackResources"]
    alive = [r["LogicalResourceId"] for r in resources if r["ResourceStatus"] != "DELETE_COMPLETE"]
    assert "New" not in alive


def test_a_change_set_lists_changes_and_one_without_any_fails(stack, client):
    template = {"Resources": {"Queue": QUEUE, "Topic": {"Type": "AWS::SNS::Topic"}}}
    found = stack(template)
    cfn = client("cloudformation")
    changed = {
        "Resources": {
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 5}},
            "New": {"Type": "AWS::SNS::Topic"},
        }
    }
    name = found["StackName"]
    made = cfn.create_change_set(StackName=name, ChangeSetName="one", TemplateBody=json.dumps(changed))
    listed = cfn.describe_change_set(ChangeSetName=made["Id"])["Changes"]
    seen = {(c["ResourceChange"]["Action"], c["ResourceChange"]["LogicalResourceId"]) for c in listed}
    assert seen == {("Modify", "Queue"), ("Add", "New"), ("Remove", "Topic")}
    same = cfn.create_change_set(StackName=name, ChangeSetName="same", TemplateBody=json.dumps(template))
    answer = cfn.describe_change_set(ChangeSetName=same["Id"])
    assert answer["Status"] == "FAILED"
    assert "didn't contain changes" in answer["StatusReason"]
    with pytest.raises(ClientError, match="No updates are to be performed"):
        cfn.update_stack(StackName=name, TemplateBody=json.dumps(template))


def test_deleting_a_stack_keeps_what_is_to_be_retained(stack, client, eventually):
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"VersioningConfiguration": {"Status": "Enabled"}}}
    template = {
        "Resources": {"Kept": {**bucket, "DeletionPolicy": "Retain"}, "Gone": bucket},
        "Outputs": {name: {"Value": {"Ref": name}} for name in ("Kept", "Gone")},
    }
    found = stack(template)
    names = outputs(found)
    client("cloudformation").delete_stack(StackName=found["StackName"])
    eventually(lambda: stack.end(found["StackId"])["StackStatus"] == "DELETE_COMPLETE")
    buckets = {one["Name"] for one in client("s3").list_buckets()["Buckets"]}
    assert names["Kept"] in buckets
    assert names["Gone"] not in buckets
    with pytest.raises(ClientError, match="does not exist"):
        client("cloudformation").describe_stacks(StackName=found["StackName"])


def test_a_bucket_that_is_not_empty_makes_the_deletion_fail(stack, client, eventually):
    found = stack(
        {"Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}}, "Outputs": {"B": {"Value": {"Ref": "Bucket"}}}}
    )
    bucket = outputs(found)["B"]
    client("s3").put_object(Bucket=bucket, Key="k", Body=b"x")
    client("cloudformation").delete_stack(StackName=found["StackName"])
    eventually(lambda: stack.end(found["StackId"])["StackStatus"] == "DELETE_FAILED")
    assert "not empty" in reasons(client, found)["Bucket"]
    client("s3").delete_object(Bucket=bucket, Key="k")


def test_a_bucket_has_what_its_template_says(stack, client):
    found = stack(
        {
            "Resources": {
                "Bucket": {
                    "Type": "AWS::S3::Bucket",
                    "Properties": {
                        "VersioningConfiguration": {"Status": "Enabled"},
                        "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": "true"}},
                        "PublicAccessBlockConfiguration": {"BlockPublicAcls": True, "RestrictPublicBuckets": True},
                        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
                        "BucketEncryption": {
                            "ServerSideEncryptionConfiguration": [
                                {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
                            ]
                        },
                        "LifecycleConfiguration": {
                            "Rules": [
                                {
                                    "Id": "old",
                                    "Status": "Enabled",
                                    "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
                                    "ExpiredObjectDeleteMarker": True,
                                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                                }
                            ]
                        },
                    },
                },
                "Policy": {
                    "Type": "AWS::S3::BucketPolicy",
                    "Properties": {
                        "Bucket": {"Ref": "Bucket"},
                        "PolicyDocument": {
                            "Version": "2012-10-17",
                            "Statement": [
                                {
                                    "Effect": "Deny",
                                    "Principal": "*",
                                    "Action": "s3:*",
                                    "Resource": [{"Fn::Sub": "${Bucket.Arn}"}, {"Fn::Sub": "${Bucket.Arn}/*"}],
                                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                                }
                            ],
                        },
                    },
                },
            },
            "Outputs": {"B": {"Value": {"Ref": "Bucket"}}},
        }
    )
    assert found["StackStatus"] == "CREATE_COMPLETE", reasons(client, found)
    s3, bucket = client("s3"), outputs(found)["B"]
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    rule = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]["RestrictPublicBuckets"]
    # the deny of plain HTTP does not deny local traffic
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.delete_bucket_policy(Bucket=bucket)


def test_iam_needs_the_capability(client, unique):
    document = {"Version": "2012-10-17", "Statement": []}
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": document}}
    with pytest.raises(ClientError) as refused:
        client("cloudformation").create_stack(
            StackName=unique("capability"), TemplateBody=json.dumps({"Resources": {"Role": role}})
        )
    assert refused.value.response["Error"]["Code"] == "InsufficientCapabilitiesException"
