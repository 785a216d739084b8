"""Models, endpoint configs, endpoints: names, checks, descriptions, lists and tags.

Sources: SageMaker API reference (CreateModel, CreateEndpointConfig, CreateEndpoint, DescribeEndpoint, ListEndpoints,
AddTags, UpdateEndpointWeightsAndCapacities) and its service model; texts of errors as users report them.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.conformance.hosting import BUCKET, CPU_IMAGE, GPU_IMAGE, ROLE, VARIANT


def test_a_duplicate_model_is_refused(hosting):
    name = hosting.model()
    error = hosting.refused(
        hosting.sagemaker.create_model, ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": CPU_IMAGE}
    )
    assert error["Code"] == "ValidationException"
    assert error["Message"] == (
        f'Cannot create already existing model "arn:aws:sagemaker:us-east-1:123456789012:model/{name}".'
    )


def test_model_data_must_be_there(hosting):
    error = hosting.refused(hosting.model, container={"ModelDataUrl": f"s3://{BUCKET}/nowhere/model.tar.gz"})
    assert error["Message"] == f"Could not find model data at s3://{BUCKET}/nowhere/model.tar.gz."


def test_a_model_is_described_as_it_was_created(hosting):
    name = hosting.model(EnableNetworkIsolation=True, container={"Environment": {"A": "1"}})
    found = hosting.sagemaker.describe_model(ModelName=name)
    assert found["PrimaryContainer"]["Environment"] == {"A": "1"}
    assert found["EnableNetworkIsolation"] is True
    assert found["ModelArn"].endswith(f":model/{name}")


def test_an_unknown_model_is_named(hosting):
    error = hosting.refused(hosting.sagemaker.describe_model, ModelName="nobody")
    assert error["Message"] == 'Could not find model "arn:aws:sagemaker:us-east-1:123456789012:model/nobody".'


@pytest.mark.parametrize(
    ("variant", "problem"),
    [
        ({"InstanceType": "g5.xlarge"}, "Member must satisfy enum value set"),
        ({"InferenceAmiVersion": "newest"}, "Member must satisfy enum value set"),
        ({"ModelDataDownloadTimeoutInSeconds": 3601}, "less than or equal to 3600"),
        ({"ContainerStartupHealthCheckTimeoutInSeconds": 3601}, "less than or equal to 3600"),
        ({"VariantName": "not_a_name"}, "Member must satisfy regular expression pattern"),
    ],
)
def test_what_the_service_model_forbids_is_refused(hosting, variant, problem):
    error = hosting.refused(hosting.config, **variant)
    assert error["Code"] == "ValidationException"
    assert problem in error["Message"]


@pytest.mark.parametrize("instance_type", ["ml.g5.xlarge", "ml.g6e.48xlarge", "ml.c7i.large", "ml.p5.48xlarge"])
def test_instance_types_of_today_are_taken(hosting, instance_type):
    assert hosting.config(InstanceType=instance_type)


def test_a_config_names_a_model_that_exists(hosting):
    error = hosting.refused(hosting.config, ModelName="nobody")
    assert error["Message"].startswith("Could not find model")


def test_metrics_are_published_at_the_documented_periods_only(hosting):
    variant = {
        "VariantName": VARIANT, "ModelName": hosting.model(), "InitialInstanceCount": 1, "InstanceType": "ml.c5.large",
    }  # fmt: skip
    metrics = {"EnableEnhancedMetrics": True, "MetricPublishFrequencyInSeconds": 10}
    name = hosting.config_of(variant, MetricsConfig=metrics)
    assert hosting.sagemaker.describe_endpoint_config(EndpointConfigName=name)["MetricsConfig"] == metrics
    error = hosting.refused(
        hosting.config_of, variant, MetricsConfig={**metrics, "MetricPublishFrequencyInSeconds": 15}
    )
    assert "metricPublishFrequencyInSeconds" in error["Message"]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"image": GPU_IMAGE}, "GPU"),
        ({"EnableNetworkIsolation": True}, "etwork isolation"),
        ({"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}}, "VPC"),
    ],
)
def test_serverless_excludes_what_the_guide_excludes(hosting, settings, problem):
    model = hosting.model("double", settings.pop("image", CPU_IMAGE), **settings)
    variant = {
        "VariantName": VARIANT,
        "ModelName": model,
        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
    }
    assert problem in hosting.refused(hosting.config_of, variant)["Message"]


def test_a_serverless_endpoint_answers(hosting):
    settings = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    variant = {"VariantName": VARIANT, "ModelName": hosting.model(), "ServerlessConfig": settings}
    name = hosting.endpoint(hosting.config_of(variant))
    assert hosting.invoke(name) == {"predictions": [6.0]}
    assert hosting.describe(name)["ProductionVariants"][0]["CurrentServerlessConfig"] == settings


def test_endpoint_names_know_no_case(hosting, steady):
    error = hosting.refused(
        hosting.sagemaker.create_endpoint, EndpointName=steady.upper(), EndpointConfigName=hosting.config()
    )
    assert error["Message"] == (
        f'Cannot create already existing endpoint "arn:aws:sagemaker:us-east-1:123456789012:endpoint/{steady.lower()}".'
    )
    assert hosting.describe(steady.lower())["EndpointName"] == steady
    assert hosting.invoke(steady.upper()) == {"predictions": [6.0]}


def test_an_endpoint_in_service_is_described(hosting, steady):
    found = hosting.describe(steady)
    assert found["EndpointStatus"] == "InService"
    assert found["EndpointArn"] == f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{steady.lower()}"
    assert "FailureReason" not in found
    assert "PendingDeploymentSummary" not in found
    (variant,) = found["ProductionVariants"]
    assert (variant["VariantName"], variant["CurrentInstanceCount"], variant["CurrentWeight"]) == (VARIANT, 4, 1.0)
    assert variant["DeployedImages"][0]["SpecifiedImage"] == CPU_IMAGE


def test_an_unknown_endpoint_or_config_is_named(hosting):
    arn = "arn:aws:sagemaker:us-east-1:123456789012"
    error = hosting.refused(hosting.describe, "nobody")
    assert (error["Code"], error["Message"]) == (
        "ValidationException",
        f'Could not find endpoint "{arn}:endpoint/nobody".',
    )
    error = hosting.refused(hosting.endpoint, "no-config")
    assert error["Message"] == f'Could not find endpoint configuration "{arn}:endpoint-config/no-config".'


def test_an_endpoint_that_is_being_created_can_be_neither_updated_nor_deleted(hosting):
    config = hosting.config()
    name = hosting.name("Endpoint")
    hosting.fault("slow_start", name, seconds=2)
    hosting._made.append(name)
    hosting.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    for call in (lambda: hosting.update(name, config), lambda: hosting.sagemaker.delete_endpoint(EndpointName=name)):
        error = hosting.refused(call)
        assert error["Code"] == "ValidationException"
        assert error["Message"] == (
            f'Cannot update in-progress endpoint "arn:aws:sagemaker:us-east-1:123456789012:endpoint/{name.lower()}".'
        )
    again = {"EndpointName": name, "EndpointConfigName": config}
    assert "Cannot create already existing" in hosting.refused(hosting.sagemaker.create_endpoint, **again)["Message"]
    assert "ProductionVariants" not in hosting.describe(name)
    error = hosting.refused(hosting.invoke, name)
    assert (error["Code"], error["Message"]) == (
        "ValidationError",
        f"Endpoint {name} of account 123456789012 not found.",
    )
    assert hosting.settled(name)["EndpointStatus"] == "InService"


def test_a_deleted_endpoint_is_gone_and_its_name_free(hosting, eventually):
    config = hosting.config()
    name = hosting.endpoint(config)
    hosting.sagemaker.delete_endpoint(EndpointName=name)
    eventually(
        lambda: name not in [e["EndpointName"] for e in hosting.sagemaker.list_endpoints(MaxResults=100)["Endpoints"]]
    )
    assert "not found" in hosting.refused(hosting.invoke, name)["Message"]
    hosting.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    assert hosting.settled(name)["EndpointStatus"] == "InService"


def test_configs_and_models_in_use_can_be_deleted(hosting):
    config = hosting.config()
    model = hosting.sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0]["ModelName"]
    name = hosting.endpoint(config)
    hosting.sagemaker.delete_endpoint_config(EndpointConfigName=config)
    hosting.sagemaker.delete_model(ModelName=model)
    assert hosting.invoke(name) == {"predictions": [6.0]}


def test_a_delete_call_takes_a_name_and_no_precondition(hosting):
    model = hosting.sagemaker.meta.service_model
    for call in ("DeleteEndpoint", "DeleteEndpointConfig", "DeleteModel"):
        (member,) = model.operation_model(call).input_shape.members
        assert member in ("EndpointName", "EndpointConfigName", "ModelName")


def test_a_deployment_to_a_config_that_is_gone_is_refused(hosting, steady):
    config = hosting.config()
    hosting.sagemaker.delete_endpoint_config(EndpointConfigName=config)
    assert "Could not find endpoint configuration" in hosting.refused(hosting.update, steady, config)["Message"]
    assert hosting.describe(steady)["EndpointStatus"] == "InService"


def test_lists_are_filtered_sorted_and_paged(hosting):
    stem = hosting.name("listed")
    began = datetime.now(UTC)
    names = [f"{stem}-{letter}" for letter in "abc"]
    for name in names:
        hosting.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": CPU_IMAGE})
        time.sleep(0.01)

    def listed(**request):
        answer = hosting.sagemaker.list_models(NameContains=stem.upper(), **request)
        return [model["ModelName"] for model in answer["Models"]], answer.get("NextToken")

    assert listed() == (names[::-1], None)
    assert listed(SortBy="Name", SortOrder="Ascending") == (names, None)
    page, token = listed(MaxResults=2)
    assert page == names[:0:-1]
    assert listed(MaxResults=2, NextToken=token) == (names[:1], None)
    assert listed(CreationTimeAfter=began + timedelta(minutes=1)) == ([], None)
    assert listed(CreationTimeBefore=began + timedelta(minutes=1)) == (names[::-1], None)
    error = hosting.refused(hosting.sagemaker.list_models, NextToken="???")
    assert error["Code"] == "ValidationException"


def test_endpoints_are_listed_by_status(hosting, steady):
    for status, found in (("InService", True), ("Failed", False)):
        answer = hosting.sagemaker.list_endpoints(NameContains=steady, StatusEquals=status)
        assert (steady in [e["EndpointName"] for e in answer["Endpoints"]]) is found


def test_tags_are_added_listed_and_deleted(hosting, steady):
    arn = hosting.describe(steady)["EndpointArn"]
    hosting.sagemaker.add_tags(
        ResourceArn=arn, Tags=[{"Key": "modeldrop:release", "Value": "r-1"}, {"Key": "b", "Value": ""}]
    )
    hosting.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "modeldrop:release", "Value": "r-2"}])
    hosting.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["b"])
    assert hosting.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "modeldrop:release", "Value": "r-2"}]


def test_tags_of_an_unknown_resource_are_refused(hosting):
    arn = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/nobody"
    assert "Could not find" in hosting.refused(hosting.sagemaker.list_tags, ResourceArn=arn)["Message"]


def test_what_moto_does_not_cover_is_named(hosting):
    error = hosting.refused(hosting.sagemaker.create_inference_component, InferenceComponentName="x", EndpointName="x")
    assert error["Code"] == "NotImplemented"
    assert "CreateInferenceComponent" in error["Message"]


def test_capacity_and_weights_change_in_place(hosting):
    model = hosting.model()
    base = {"ModelName": model, "InstanceType": "ml.c5.large", "InitialInstanceCount": 1}
    config = hosting.config_of({**base, "VariantName": "one"}, {**base, "VariantName": "two"})
    name = hosting.endpoint(config)
    change = hosting.sagemaker.update_endpoint_weights_and_capacities
    both = [{"VariantName": v, "DesiredInstanceCount": 2} for v in ("one", "two")]
    assert "only one variant" in hosting.refused(change, EndpointName=name, DesiredWeightsAndCapacities=both)["Message"]
    one = {"VariantName": "one", "DesiredWeight": 0, "DesiredInstanceCount": 3}
    change(EndpointName=name, DesiredWeightsAndCapacities=[one, {"VariantName": "two", "DesiredWeight": 5}])
    assert hosting.describe(name)["EndpointStatus"] == "Updating"
    found = {v["VariantName"]: v for v in hosting.settled(name)["ProductionVariants"]}
    assert (found["one"]["CurrentInstanceCount"], found["one"]["CurrentWeight"]) == (3, 0.0)
    assert found["two"]["CurrentWeight"] == 5.0
    assert {hosting.invoked_variant(name) for _ in range(20)} == {"two"}


def test_moto_alone_would_not_host():
    """moto 5.2.5 lacks what this module adds; when it no longer does, the patches are to be looked at again."""
    from moto.sagemaker.responses import SageMakerResponse

    assert not hasattr(SageMakerResponse, "update_endpoint")
