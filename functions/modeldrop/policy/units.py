"""How rollout.yaml writes quantities: durations, shares, latencies and sizes, and what they are in base units."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Kind = Literal["duration", "share", "latency", "size"]


@dataclass(frozen=True)
class Quantity:
    """One kind of quantity: the unit a suffix stands for, in the base unit, and a word for messages."""

    base: str
    units: dict[str, Fraction]
    example: str
    fraction_digits: int

    @property
    def pattern(self) -> str:
        """What an editor checks: digits and a known unit, no sign, no blanks."""
        decimals = rf"(\.[0-9]{{1,{self.fraction_digits}}})?" if self.fraction_digits else ""
        return rf"^[0-9]{{1,9}}{decimals}({'|'.join(self.units)})$"


QUANTITIES: dict[Kind, Quantity] = {
    "duration": Quantity("seconds", {"s": Fraction(1), "m": Fraction(60), "h": Fraction(3600)}, "90s, 10m or 1h", 0),
    "share": Quantity("fraction of 1", {"%": Fraction(1, 100)}, "10% or 0.1%", 4),
    "latency": Quantity("milliseconds", {"ms": Fraction(1), "s": Fraction(1000)}, "100ms or 1s", 3),
    "size": Quantity(
        "bytes",
        {"KiB": Fraction(1024), "MiB": Fraction(1024**2), "GiB": Fraction(1024**3)},
        "500MiB or 10GiB",
        0,
    ),
}


def parse_quantity(kind: Kind, text: str) -> Fraction:
    """The exact amount in the kind's base unit; ValueError says how it is written."""
    quantity = QUANTITIES[kind]
    if not re.fullmatch(quantity.pattern, text, re.ASCII):
        raise ValueError(f"a {kind} is written like {quantity.example}")
    suffix = max((unit for unit in quantity.units if text.endswith(unit)), key=len)
    return Fraction(text.removesuffix(suffix)) * quantity.units[suffix]


def seconds(text: str) -> int:
    """`10m` is 600."""
    return int(parse_quantity("duration", text))


def share(text: str) -> float:
    """`10%` is 0.1."""
    return float(parse_quantity("share", text))


def milliseconds(text: str) -> float:
    """`1s` is 1000.0."""
    return float(parse_quantity("latency", text))


def size_bytes(text: str) -> int:
    """`10GiB` is 10737418240."""
    return int(parse_quantity("size", text))
