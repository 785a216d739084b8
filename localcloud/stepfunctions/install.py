"""Plugs what is missing into moto's Step Functions."""

from __future__ import annotations

import logging

from localcloud.core import Core


def install(core: Core) -> None:
    """Execute state machines for real."""
    from moto.core.config import default_user_config

    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    # it logs every failing state as an error of its own; the history is where failures belong
    logging.getLogger("moto.stepfunctions").setLevel(logging.CRITICAL)
    core.on_service("stepfunctions", lambda: _patch(core))  # the interpreter's parser is slow to import


def _patch(core: Core) -> None:
    from localcloud.stepfunctions.api import patch_api
    from localcloud.stepfunctions.interpreter import patch_interpreter
    from localcloud.stepfunctions.status import patch_status
    from localcloud.stepfunctions.tasks import patch_tasks

    patch_interpreter()
    patch_tasks(core)
    patch_status(core)
    patch_api()
