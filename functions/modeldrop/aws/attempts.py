"""What may fail without keeping a release from its end: it is logged, told, and done again later."""

from __future__ import annotations

from collections.abc import Callable

from modeldrop.aws.failures import told
from modeldrop.observability import logger


def attempt(what: str, act: Callable[[], object]) -> str:
    """Do it; empty, or what was not done and why, in a few words for people."""
    try:
        act()
    except Exception as error:  # whatever it is, the ending must not hang on it
        logger.exception("%s failed, and what follows goes on", what)
        return f"{what}: {told(error)}"
    return ""


def read[T](what: str, ask: Callable[[], T], otherwise: T) -> tuple[T, str]:
    """Return what was asked for, or else `otherwise` and why it could not be read."""
    found = [otherwise]
    trouble = attempt(what, lambda: found.append(ask()))
    return found[-1], trouble
