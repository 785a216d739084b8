"""SageMaker real-time hosting: endpoints on real model servers, with deployment guardrails in real time."""

from __future__ import annotations

from localcloud.core import Core


def install(core: Core) -> None:
    """Answer hosting calls of the core process, and serve the front's and the tests' admin routes."""
    from localcloud.sagemaker import calls
    from localcloud.sagemaker.hosting import Hosting

    hosting = Hosting(core)
    calls.install(hosting)
    core.admin("observations", hosting.observe)
    core.admin("captures", hosting.write_capture)
    core.admin("fleets", hosting.fleets)
    core.admin("faults", hosting.faults.set)
    core.on_start(hosting.start)
    core.on_stop(hosting.stop)
