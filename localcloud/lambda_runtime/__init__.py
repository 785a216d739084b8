"""Lambda functions as real processes: AWS's runtime client, a Runtime API, cold and warm starts."""

from localcloud.lambda_runtime.install import install

__all__ = ["install"]
