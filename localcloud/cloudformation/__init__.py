"""CloudFormation with the SAM transform: strict, with change sets, rollback and reasons.

moto's own engine is not used: it skips what it does not know, drops properties, and has no rollback.
"""

from __future__ import annotations

from typing import Any

from localcloud.cloudformation.api import Api
from localcloud.cloudformation.engine import Engine
from localcloud.core import Core


def install(core: Core) -> None:
    """Answer CloudFormation's API with this engine, from its first request: importing moto's takes two seconds."""
    core.on_service("cloudformation", lambda: _take_over(core))


def _take_over(core: Core) -> None:
    from moto.cloudformation.responses import CloudFormationResponse
    from moto.core.responses import ActionResult

    from localcloud.cloudformation import providers  # noqa: F401 importing registers them

    api = Api(Engine(core))
    own = api.calls()
    foreign = [
        name
        for name in vars(CloudFormationResponse)
        if not name.startswith("_") and callable(getattr(CloudFormationResponse, name)) and name not in own
    ]
    for name in foreign:
        if name != "cfnresponse":
            delattr(CloudFormationResponse, name)  # what works on moto's stacks would lie about ours
    CloudFormationResponse.RESPONSE_KEY_PATH_TO_TRANSFORMER = {}

    def answer(call: Any) -> Any:
        return lambda self: ActionResult(call(self))

    for name, call in own.items():
        setattr(CloudFormationResponse, name, answer(call))
