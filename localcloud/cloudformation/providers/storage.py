"""S3, DynamoDB and SSM parameters."""

from __future__ import annotations

import json
from typing import Any

from localcloud.cloudformation.provider import Made, Provider, Request, ignore_missing, provider


@provider
class Bucket(Provider):
    """AWS::S3::Bucket."""

    type_name = "AWS::S3::Bucket"
    name_property = "BucketName"
    supported = frozenset(
        {
            "BucketName",
            "VersioningConfiguration",
            "BucketEncryption",
            "PublicAccessBlockConfiguration",
            "OwnershipControls",
            "LifecycleConfiguration",
            "NotificationConfiguration",
            "CorsConfiguration",
            "LoggingConfiguration",
            "Tags",
        }
    )

    def create(self, request: Request) -> Made:
        """Make the bucket, then set what CreateBucket does not take."""
        name = request.name("BucketName", 63, lower=True)
        request.client("s3").create_bucket(Bucket=name)
        return self.update(request, name)

    def update(self, request: Request, physical_id: str) -> Made:
        """Set every configuration; one that was taken out of the template is removed."""
        s3, given, bucket = request.client("s3"), request.properties, {"Bucket": physical_id}
        status = given.get("VersioningConfiguration", {}).get("Status")
        if status or "VersioningConfiguration" in request.previous:
            s3.put_bucket_versioning(**bucket, VersioningConfiguration={"Status": status or "Suspended"})
        if "BucketEncryption" in given:
            s3.put_bucket_encryption(**bucket, ServerSideEncryptionConfiguration=_encryption(given["BucketEncryption"]))
        if "PublicAccessBlockConfiguration" in given:
            s3.put_public_access_block(**bucket, PublicAccessBlockConfiguration=given["PublicAccessBlockConfiguration"])
        if "OwnershipControls" in given:
            s3.put_bucket_ownership_controls(**bucket, OwnershipControls=given["OwnershipControls"])
        if "LifecycleConfiguration" in given:
            rules = [_lifecycle_rule(rule) for rule in given["LifecycleConfiguration"]["Rules"]]
            s3.put_bucket_lifecycle_configuration(**bucket, LifecycleConfiguration={"Rules": rules})
        elif "LifecycleConfiguration" in request.previous:
            s3.delete_bucket_lifecycle(**bucket)
        if "NotificationConfiguration" in given or "NotificationConfiguration" in request.previous:
            wanted = _notifications(given.get("NotificationConfiguration", {}))
            s3.put_bucket_notification_configuration(**bucket, NotificationConfiguration=wanted)
        if "CorsConfiguration" in given:
            s3.put_bucket_cors(**bucket, CORSConfiguration={"CORSRules": given["CorsConfiguration"]["CorsRules"]})
        if target := given.get("LoggingConfiguration"):
            enabled = {
                "TargetBucket": target.get("DestinationBucketName", physical_id),
                "TargetPrefix": target.get("LogFilePrefix", ""),
            }
            s3.put_bucket_logging(**bucket, BucketLoggingStatus={"LoggingEnabled": enabled})
        if tags := request.tag_list():
            s3.put_bucket_tagging(**bucket, Tagging={"TagSet": tags})
        region = request.core.region
        return Made(
            physical_id,
            {
                "Arn": f"arn:aws:s3:::{physical_id}",
                "DomainName": f"{physical_id}.s3.amazonaws.com",
                "RegionalDomainName": f"{physical_id}.s3.{region}.amazonaws.com",
                "DualStackDomainName": f"{physical_id}.s3.dualstack.{region}.amazonaws.com",
                "WebsiteURL": f"http://{physical_id}.s3-website-{region}.amazonaws.com",
            },
        )

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the bucket; one that is not empty is an error, as on AWS."""
        ignore_missing(lambda: request.client("s3").delete_bucket(Bucket=physical_id))


def _encryption(configuration: dict[str, Any]) -> dict[str, Any]:
    rules = []
    for rule in configuration["ServerSideEncryptionConfiguration"]:
        renamed = {"ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault"}
        rules.append({renamed.get(key, key): value for key, value in rule.items()})
    return {"Rules": rules}


def _lifecycle_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """Translate a rule of the template into one of the S3 API, which spells it otherwise."""
    made: dict[str, Any] = {"Status": rule["Status"]}
    if "Id" in rule:
        made["ID"] = rule["Id"]
    tags, prefix = rule.get("TagFilters", []), rule.get("Prefix", "")
    made["Filter"] = {"And": {"Prefix": prefix, "Tags": tags}} if tags else {"Prefix": prefix}
    expiration = {
        api: rule[key]
        for key, api in (
            ("ExpirationInDays", "Days"),
            ("ExpirationDate", "Date"),
            ("ExpiredObjectDeleteMarker", "ExpiredObjectDeleteMarker"),
        )
        if key in rule
    }
    if expiration:
        made["Expiration"] = expiration
    if "NoncurrentVersionExpirationInDays" in rule:
        made["NoncurrentVersionExpiration"] = {"NoncurrentDays": rule["NoncurrentVersionExpirationInDays"]}
    for same in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if same in rule:
            made[same] = rule[same]
    if "Transitions" in rule:
        made["Transitions"] = [
            {"StorageClass": step["StorageClass"], "Days": step["TransitionInDays"]} for step in rule["Transitions"]
        ]
    return made


def _notifications(configuration: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if configuration.get("EventBridgeConfiguration", {}).get(
        "EventBridgeEnabled", "EventBridgeConfiguration" in configuration
    ):
        made["EventBridgeConfiguration"] = {}
    kinds = (("Lambda", "Function", "LambdaFunction"), ("Queue", "Queue", "Queue"), ("Topic", "Topic", "Topic"))
    for kind, target, api in kinds:
        for entry in configuration.get(f"{kind}Configurations", []):
            one: dict[str, Any] = {f"{api}Arn": entry[target], "Events": [entry["Event"]]}
            if "Filter" in entry:
                one["Filter"] = {"Key": {"FilterRules": entry["Filter"]["S3Key"]["Rules"]}}
            made.setdefault(f"{api}Configurations", []).append(one)
    return made


@provider
class BucketPolicy(Provider):
    """AWS::S3::BucketPolicy."""

    type_name = "AWS::S3::BucketPolicy"
    supported = frozenset({"Bucket", "PolicyDocument"})

    def create(self, request: Request) -> Made:
        """Put the policy."""
        bucket = request.properties["Bucket"]
        document = request.properties["PolicyDocument"]
        text = document if isinstance(document, str) else json.dumps(document)
        request.client("s3").put_bucket_policy(Bucket=bucket, Policy=text)
        return Made(bucket)

    def update(self, request: Request, physical_id: str) -> Made:
        """Put it again."""
        return self.create(request)

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the policy."""
        ignore_missing(lambda: request.client("s3").delete_bucket_policy(Bucket=physical_id))


@provider
class Table(Provider):
    """AWS::DynamoDB::Table."""

    type_name = "AWS::DynamoDB::Table"
    name_property = "TableName"
    at_creation = (
        "AttributeDefinitions",
        "KeySchema",
        "BillingMode",
        "ProvisionedThroughput",
        "GlobalSecondaryIndexes",
        "LocalSecondaryIndexes",
        "DeletionProtectionEnabled",
        "TableClass",
    )
    supported = frozenset(
        {
            *at_creation,
            "TableName",
            "SSESpecification",
            "StreamSpecification",
            "PointInTimeRecoverySpecification",
            "TimeToLiveSpecification",
            "Tags",
        }
    )

    def create(self, request: Request) -> Made:
        """Make the table with its backups and time to live."""
        name = request.name("TableName", 255)
        extra = {**_table_extras(request.properties), **({"Tags": request.tag_list()} if request.tag_list() else {})}
        request.client("dynamodb").create_table(TableName=name, **request.pick(*self.at_creation), **extra)
        return self._finish(request, name)

    def update(self, request: Request, physical_id: str) -> Made:
        """Change what UpdateTable can change."""
        given, before = request.properties, request.previous
        changed: dict[str, Any] = {
            key: given[key]
            for key in ("BillingMode", "ProvisionedThroughput", "DeletionProtectionEnabled", "TableClass")
            if key in given and given[key] != before.get(key)
        }
        if "DeletionProtectionEnabled" in before and "DeletionProtectionEnabled" not in given:
            changed["DeletionProtectionEnabled"] = False
        extras, extras_before = _table_extras(given), _table_extras(dict(before))
        changed |= {key: value for key, value in extras.items() if value != extras_before.get(key)}
        if changed:
            request.client("dynamodb").update_table(TableName=physical_id, **changed)
        return self._finish(request, physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the table; deletion protection is an error, as on AWS."""
        ignore_missing(lambda: request.client("dynamodb").delete_table(TableName=physical_id))

    def _finish(self, request: Request, name: str) -> Made:
        dynamodb, given = request.client("dynamodb"), request.properties
        backups = given.get("PointInTimeRecoverySpecification")
        if backups is not None or "PointInTimeRecoverySpecification" in request.previous:
            enabled = bool((backups or {}).get("PointInTimeRecoveryEnabled"))
            dynamodb.update_continuous_backups(
                TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": enabled}
            )
        if (ttl := given.get("TimeToLiveSpecification")) and ttl != request.previous.get("TimeToLiveSpecification"):
            dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=ttl)
        table = dynamodb.describe_table(TableName=name)["Table"]
        attributes = {"Arn": table["TableArn"]}
        if "LatestStreamArn" in table:
            attributes["StreamArn"] = table["LatestStreamArn"]
        return Made(name, attributes)


def _table_extras(given: dict[str, Any]) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if sse := given.get("SSESpecification"):
        renamed = {"SSEEnabled": "Enabled", "KMSMasterKeyId": "KMSMasterKeyId", "SSEType": "SSEType"}
        extra["SSESpecification"] = {renamed[key]: value for key, value in sse.items()}
    if stream := given.get("StreamSpecification"):
        extra["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": stream["StreamViewType"]}
    return extra


@provider
class Parameter(Provider):
    """AWS::SSM::Parameter."""

    type_name = "AWS::SSM::Parameter"
    name_property = "Name"
    supported = frozenset({"Name", "Type", "Value", "Description", "AllowedPattern", "Tier", "DataType", "Tags"})

    def create(self, request: Request) -> Made:
        """Put the parameter."""
        return self._put(request, request.name("Name", 1011), overwrite=False)

    def update(self, request: Request, physical_id: str) -> Made:
        """Put it again."""
        return self._put(request, physical_id, overwrite=True)

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the parameter."""
        ignore_missing(lambda: request.client("ssm").delete_parameter(Name=physical_id))

    def _put(self, request: Request, name: str, overwrite: bool) -> Made:
        fields = request.pick("Type", "Value", "Description", "AllowedPattern", "Tier", "DataType")
        request.client("ssm").put_parameter(Name=name, Overwrite=overwrite, **fields)
        return Made(name, request.pick("Type", "Value"))


@provider
class KmsKey(Provider):
    """AWS::KMS::Key."""

    type_name = "AWS::KMS::Key"
    supported = frozenset(
        {
            "Description",
            "KeyPolicy",
            "EnableKeyRotation",
            "KeySpec",
            "KeyUsage",
            "PendingWindowInDays",
            "Enabled",
            "Tags",
        }
    )

    def create(self, request: Request) -> Made:
        """Make the key."""
        given = request.properties
        fields = request.pick("Description", "KeySpec", "KeyUsage")
        if "KeyPolicy" in given:
            fields["Policy"] = json.dumps(given["KeyPolicy"])
        key = request.client("kms").create_key(**fields, Tags=request.tag_list("TagKey", "TagValue"))["KeyMetadata"]
        return self.update(request, key["KeyId"])

    def update(self, request: Request, physical_id: str) -> Made:
        """Set policy and rotation."""
        kms, given = request.client("kms"), request.properties
        if request.previous and "KeyPolicy" in given:
            kms.put_key_policy(KeyId=physical_id, PolicyName="default", Policy=json.dumps(given["KeyPolicy"]))
        if given.get("EnableKeyRotation"):
            kms.enable_key_rotation(KeyId=physical_id)
        arn = f"arn:aws:kms:{request.core.region}:{request.core.account_id}:key/{physical_id}"
        return Made(physical_id, {"Arn": arn, "KeyId": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Schedule the deletion, as CloudFormation does."""
        days = int(request.properties.get("PendingWindowInDays", 30))
        ignore_missing(lambda: request.client("kms").schedule_key_deletion(KeyId=physical_id, PendingWindowInDays=days))


@provider
class KmsAlias(Provider):
    """AWS::KMS::Alias."""

    type_name = "AWS::KMS::Alias"
    name_property = "AliasName"
    supported = frozenset({"AliasName", "TargetKeyId"})

    def create(self, request: Request) -> Made:
        """Make the alias."""
        request.client("kms").create_alias(**request.pick("AliasName", "TargetKeyId"))
        return Made(request.properties["AliasName"])

    def update(self, request: Request, physical_id: str) -> Made:
        """Point it at another key."""
        request.client("kms").update_alias(**request.pick("AliasName", "TargetKeyId"))
        return Made(physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Delete the alias."""
        ignore_missing(lambda: request.client("kms").delete_alias(AliasName=physical_id))
