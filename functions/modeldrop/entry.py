"""The one decorator that makes a function of ours a Lambda handler."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from modeldrop.aws.failures import is_transient
from modeldrop.aws.releases import ReleaseTable
from modeldrop.errors import ModeldropError, RejectedError, TransientError
from modeldrop.observability import logger, metrics, tracer
from modeldrop.settings import settings

Step = Callable[[dict[str, Any]], dict[str, Any]]


def entry(step: Step) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """Make a Lambda handler of a step: ids in each log line, a trace, AWS's passing failures as TransientError.

    Errors of ours keep their class name, which is what the state machine matches on; a rejection's problems are kept in
    the release record, since an error's text is all that passes through the state machine. The event is never logged.
    """

    @functools.wraps(step)
    @metrics.log_metrics
    @tracer.capture_lambda_handler(capture_response=False)
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        ids: dict[str, str] = {name: event[name] for name in ("endpoint", "release") if name in event}
        logger.append_keys(request_id=context.aws_request_id, **ids)
        try:
            return step(event)
        except RejectedError as error:
            metrics.add_metric(name="Rejected", unit=MetricUnit.Count, value=1)
            logger.warning("refused", extra={"problems": [str(problem) for problem in error.problems]})
            if len(ids) == 2:
                keep_problems(ids, error)
            raise
        except ModeldropError as error:
            logger.warning("%s: %s", type(error).__name__, error)
            raise
        except Exception as error:
            metrics.add_metric(name="Defect", unit=MetricUnit.Count, value=1)
            logger.exception("%s in %s", type(error).__name__, step.__module__)
            if is_transient(error):
                raise TransientError(f"{type(error).__name__}: {error}") from error
            raise

    return handler


def keep_problems(ids: Mapping[str, str], error: RejectedError) -> None:
    """Keep what a rejection found; TransientError where the step must be taken again for it.

    What can't be kept at all must not make a defect of a rejection.
    """
    problems = [asdict(problem) for problem in error.problems]
    try:
        ReleaseTable(settings().release_table).update(ids["endpoint"], ids["release"], problems=problems)
    except Exception as failure:
        logger.exception("the problems could not be kept")
        if is_transient(failure):
            raise TransientError(f"{type(failure).__name__}: {failure}") from failure
