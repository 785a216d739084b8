"""Public keys of artifact signatures, from where the policy says: SSM Parameter Store or KMS."""

from __future__ import annotations

from botocore.exceptions import ClientError

from modeldrop.artifact.signature import refusal
from modeldrop.aws import clients
from modeldrop.aws.failures import code, is_transient, message


def public_key(source: str) -> bytes:
    """Return the key of `ssm:NAME` (PEM) or `kms:KEY` (DER); ArtifactRejectedError when AWS will not give it."""
    kind, _, name = source.partition(":")
    try:
        if kind == "kms":
            return bytes(clients.kms().get_public_key(KeyId=name)["PublicKey"])
        return clients.ssm().get_parameter(Name=name)["Parameter"]["Value"].encode()
    except ClientError as error:
        if is_transient(error):
            raise
        raise refusal("SIGNATURE_KEY", f"{code(error)}: {message(error)}"[:300], source) from None
