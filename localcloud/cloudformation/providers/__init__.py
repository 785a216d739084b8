"""Resource providers, a module a family of services; importing them registers them."""

from localcloud.cloudformation.providers import (
    apis,
    compute,
    identity,
    messaging,
    monitoring,
    scaling,
    storage,
    workflow,
)

__all__ = ["apis", "compute", "identity", "messaging", "monitoring", "scaling", "storage", "workflow"]
