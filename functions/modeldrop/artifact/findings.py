"""Where the checks write down what they see, so that one pass can tell every problem."""

from __future__ import annotations

from collections import Counter

from modeldrop.artifact.codes import RULES
from modeldrop.artifact.report import Check

MAX_FINDINGS_PER_CODE = 5
MAX_WHAT = 600


class FatalFindingError(Exception):
    """Reading cannot go on; the findings already hold why."""


class Findings:
    """Checks in the order they were made; the same code more than a few times is only counted."""

    def __init__(self) -> None:
        self._checks: list[Check] = []
        self._seen: Counter[str] = Counter()

    def add(self, code: str, what: str, where: str = "") -> None:
        """Note one finding; data from the archive is in `what` and `where`: both are escaped and cut."""
        self._seen[code] += 1
        if self._seen[code] <= MAX_FINDINGS_PER_CODE:
            rule = RULES[code]
            self._checks.append(
                Check(code, rule.result, shown(what, MAX_WHAT), shown(where) if where else "", rule.fix)
            )

    def fatal(self, code: str, what: str, where: str = "") -> FatalFindingError:
        """Note it and give back what to raise."""
        self.add(code, what, where)
        return FatalFindingError(code)

    def has(self, *prefixes: str) -> bool:
        """Whether a refusal whose code starts with one of the prefixes was found."""
        return any(code.startswith(prefixes) and RULES[code].result == "refused" for code in self._seen)

    def checks(self) -> tuple[Check, ...]:
        """Refusals first, then warnings, then what is good; with a line for what was only counted."""
        more = [
            Check(code, RULES[code].result, f"and {count - MAX_FINDINGS_PER_CODE} more of these", "", RULES[code].fix)
            for code, count in self._seen.items()
            if count > MAX_FINDINGS_PER_CODE
        ]
        order = {"refused": 0, "warned": 1, "ok": 2}
        return tuple(sorted([*self._checks, *more], key=lambda check: order[check.result]))


def shown(text: str, limit: int = 200) -> str:
    """Text from the archive for a message: control and bidi characters escaped, cut."""
    safe = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: limit + 1])
    return safe if len(text) <= limit else f"{safe[:limit]}..."
