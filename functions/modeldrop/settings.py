"""Every environment variable that a function reads, in one class."""

from __future__ import annotations

import os
from collections.abc import Callable


class Variable[T]:
    """One environment variable, read when it is asked for: template.yaml gives a function only those that it reads."""

    def __init__(self, read: Callable[[str], T]) -> None:
        self._read = read

    def __set_name__(self, _owner: type, name: str) -> None:
        self.name = name.upper()

    def __get__(self, _settings: object, _owner: type) -> T:
        """Return the value; KeyError names a variable that this function was not given."""
        return self._read(os.environ[self.name])


class Settings:
    """The stack as its functions see it."""

    stack_name = Variable(str)
    upload_bucket = Variable(str)
    approved_bucket = Variable(str)
    release_table = Variable(str)
    releases_topic_arn = Variable(str)
    state_machine_arn = Variable(str)
    endpoint_role_arn = Variable(str)
    rehearsal_role_arn = Variable(str)
    image_gpu = Variable(str)
    image_cpu = Variable(str)
    inference_ami_gpu = Variable(str)
    default_instance_type = Variable(str)
    default_instance_count = Variable(int)
    metric_namespace = Variable(str)
    record_retention_days = Variable(int)


def settings() -> Settings:
    """Return what the function was given."""
    return Settings()
