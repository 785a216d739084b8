"""Text from elsewhere, made fit for a message: no control or bidi characters, a bounded length."""

from __future__ import annotations

import unicodedata


def plain(text: object, limit: int = 200) -> str:
    """Return the text on one line, without characters that steer a terminal or turn the reading direction."""
    kept = "".join(" " if unicodedata.category(one) in _STEERING else one for one in str(text)[: limit * 4])
    words = " ".join(kept.split())
    return words if len(words) <= limit else words[: limit - 3] + "..."


# control, format (bidi marks are of this kind), surrogate, private use, line and paragraph separators
_STEERING = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
