"""Step Functions: moto's interpreter made to behave like AWS, with JSONata, status events and honest errors."""

from localcloud.stepfunctions.install import install

__all__ = ["install"]
