"""Executions of the state machine."""

from __future__ import annotations

from botocore.exceptions import ClientError

from modeldrop.aws import clients
from modeldrop.aws.failures import code


def start_once(state_machine_arn: str, name: str, payload: str) -> bool:
    """Start the execution of this name; False when it has run already. One that runs is left alone."""
    try:
        clients.stepfunctions().start_execution(stateMachineArn=state_machine_arn, name=name, input=payload)
    except ClientError as error:
        if code(error) != "ExecutionAlreadyExists":
            raise
        return False
    return True


def is_running(execution_arn: str) -> bool:
    """Say whether an execution is still running; one that Step Functions no longer knows is not."""
    try:
        return clients.stepfunctions().describe_execution(executionArn=execution_arn)["status"] == "RUNNING"
    except ClientError as error:
        if code(error) == "ExecutionDoesNotExist":
            return False
        raise


def fail_task(token: str, error: str, cause: str) -> None:
    """End a wait for an answer with an error; a wait that is over already is left alone."""
    try:
        clients.stepfunctions().send_task_failure(taskToken=token, error=error, cause=cause)
    except ClientError as failure:
        if code(failure) not in ("TaskTimedOut", "TaskDoesNotExist", "InvalidToken"):
            raise


def arn(state_machine_arn: str, name: str) -> str:
    """Return the ARN of the execution of this name."""
    return state_machine_arn.replace(":stateMachine:", ":execution:") + f":{name}"
