"""Metric math: arithmetic, comparisons and a handful of functions over time series; the rest is refused by name."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.cloudwatch.errors import NotCovered, ValidationError

Series = dict[int, float]  # start of period (unix s) -> value
Value = float | Series | list[Series]

_ARITHMETIC: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARISON: dict[type[ast.AST], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_EACH: dict[str, Callable[[float], float]] = {"ABS": abs, "CEIL": math.ceil, "FLOOR": math.floor}
_TOGETHER: dict[str, Callable[[list[float]], float]] = {
    "SUM": math.fsum,
    "AVG": lambda values: math.fsum(values) / len(values),
    "MIN": min,
    "MAX": max,
}


@dataclass(frozen=True)
class Context:
    """What an expression may refer to: series by id, those that are metrics, and the periods of the range (unix s)."""

    series: Mapping[str, Value]
    metric_ids: tuple[str, ...]
    times: tuple[int, ...]
    period: int


def names_in(expression: str) -> set[str]:
    """Return the ids that an expression mentions."""
    return {node.id for node in ast.walk(_parse(expression)) if isinstance(node, ast.Name)}


def uses_all_metrics(expression: str) -> bool:
    """Return whether the expression asks for METRICS()."""
    return "METRICS(" in expression.upper().replace(" ", "")


def compute(expression: str, context: Context) -> Value:
    """Return an expression's value; raise NotCovered for a function that is not here."""
    return _Evaluator(context, expression).value(_parse(expression).body)


def as_series(value: Value, times: tuple[int, ...]) -> Series:
    """Return a value as one series; a number becomes a constant line."""
    if isinstance(value, list):
        raise NotCovered("Expressions that return several time series are not in the local cloud.")
    return value if isinstance(value, dict) else dict.fromkeys(times, float(value))


def _parse(expression: str) -> ast.Expression:
    text = expression.strip()
    if re.match(r"SELECT\b|SEARCH\s*\(", text, re.IGNORECASE):
        raise NotCovered(f"Metrics Insights and SEARCH are not in the local cloud: {text[:60]!r}.")
    parts = re.split(r'("[^"]*"|\'[^\']*\')', text)  # operators inside quotes are text
    for place in range(0, len(parts), 2):
        part = parts[place].replace("^", "**").replace("&&", " and ").replace("||", " or ")
        parts[place] = re.sub(r"\b(AND|OR)\b", lambda found: found[0].lower(), part)
    try:
        return ast.parse("".join(parts), mode="eval")
    except SyntaxError as error:
        raise ValidationError(f"Error in expression '{expression}': {error.msg}") from None


class _Evaluator:
    """Walks one parsed expression."""

    def __init__(self, context: Context, text: str) -> None:
        self._context, self._text = context, text

    def value(self, node: ast.AST) -> Value:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name):
                if name not in self._context.series:
                    raise ValidationError(f"Error in expression '{self._text}': unknown id {name}")
                return self._context.series[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _each(operator.neg, self.value(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return _pairwise(_ARITHMETIC[type(op)], self.value(left), self.value(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISON:
                compare = _COMPARISON[type(op)]
                return _pairwise(lambda a, b: float(compare(a, b)), self.value(left), self.value(right))
            case ast.BoolOp(op=op, values=[first, *others]):
                combine = all if isinstance(op, ast.And) else any
                answer = self.value(first)
                for other in others:
                    answer = _pairwise(lambda a, b: float(combine((a, b))), answer, self.value(other))
                return answer
            case ast.List(elts=elements):
                return [as_series(self.value(element), self._context.times) for element in elements]
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name.upper(), arguments)
        raise NotCovered(f"The local cloud's metric math does not know this part of '{self._text}': {ast.dump(node)}")

    def _call(self, name: str, arguments: list[ast.expr]) -> Value:
        if name == "METRICS":
            return self._metrics(arguments)
        if name == "FILL" and len(arguments) == 2:
            return self._fill(arguments[0], arguments[1])
        values = [self.value(argument) for argument in arguments]
        if name == "IF" and len(values) in (2, 3):
            return _if(*values, times=self._context.times)
        if name == "PERIOD" and len(values) == 1:
            return float(self._context.period)
        if name in _EACH and len(values) == 1:
            return _each(_EACH[name], values[0])
        if name in _TOGETHER and len(values) == 1:
            return _together(_TOGETHER[name], values[0])
        raise NotCovered(f"The function {name} with {len(values)} arguments is not in the local cloud's metric math.")

    def _metrics(self, arguments: list[ast.expr]) -> list[Series]:
        wanted = str(arguments[0].value) if arguments and isinstance(arguments[0], ast.Constant) else ""
        ids = [each for each in self._context.metric_ids if wanted in each]
        return [as_series(self._context.series[each], self._context.times) for each in ids]

    def _fill(self, what: ast.expr, filling: ast.expr) -> Value:
        value = self.value(what)
        if isinstance(value, list):
            return [self._filled(series, filling) for series in value]
        return self._filled(as_series(value, self._context.times), filling)

    def _filled(self, series: Series, filling: ast.expr) -> Series:
        if isinstance(filling, ast.Name) and filling.id.upper() == "REPEAT":
            answer, last = dict[int, float](), None
            for moment in self._context.times:
                last = series.get(moment, last)
                if last is not None:
                    answer[moment] = last
            return answer
        if isinstance(filling, ast.Name) and filling.id.upper() == "LINEAR":
            raise NotCovered("FILL with LINEAR is not in the local cloud's metric math.")
        constant = as_series(self.value(filling), self._context.times)
        return {moment: series.get(moment, constant.get(moment, 0.0)) for moment in self._context.times}


def _pairwise(function: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """Combine two values; series meet where both have a point, and a division by zero leaves none."""
    if isinstance(left, list) or isinstance(right, list):
        lefts = left if isinstance(left, list) else [left] * len(right)  # type: ignore[arg-type]
        rights = right if isinstance(right, list) else [right] * len(lefts)
        pairs = zip(lefts, rights, strict=True)
        return [as_series(_pairwise(function, one, other), ()) for one, other in pairs]
    if not isinstance(left, dict) and not isinstance(right, dict):
        return _safely(function, left, right) or 0.0
    times = (set(left) if isinstance(left, dict) else set(right)) & (  # type: ignore[arg-type]
        set(right) if isinstance(right, dict) else set(left)  # type: ignore[arg-type]
    )
    answer = Series()
    for moment in sorted(times):
        one = left[moment] if isinstance(left, dict) else left
        other = right[moment] if isinstance(right, dict) else right
        result = _safely(function, one, other)
        if result is not None:
            answer[moment] = result
    return answer


def _safely(function: Callable[[float, float], float], left: float, right: float) -> float | None:
    try:
        result: Any = function(left, right)
    except (ZeroDivisionError, OverflowError):
        return None
    return float(result) if isinstance(result, int | float) and math.isfinite(result) else None


def _each(function: Callable[[float], float], value: Value) -> Value:
    if isinstance(value, list):
        return [{moment: function(point) for moment, point in series.items()} for series in value]
    if isinstance(value, dict):
        return {moment: function(point) for moment, point in value.items()}
    return float(function(value))


def _together(function: Callable[[list[float]], float], value: Value) -> Value:
    """Reduce a series to a number, or several series to one, period by period."""
    if isinstance(value, list):
        times = sorted({moment for series in value for moment in series})
        return {moment: function([series[moment] for series in value if moment in series]) for moment in times}
    if isinstance(value, dict):
        return function(list(value.values())) if value else {}
    return function([value])


def _if(condition: Value, then: Value, otherwise: Value | None = None, *, times: tuple[int, ...]) -> Value:
    if not isinstance(condition, dict):
        if isinstance(condition, list):
            raise NotCovered("IF over several time series is not in the local cloud's metric math.")
        chosen = then if condition else otherwise
        return {} if chosen is None else chosen
    yes = as_series(then, times)
    no = {} if otherwise is None else as_series(otherwise, times)
    picked = {moment: (yes if truth else no).get(moment) for moment, truth in condition.items()}
    return {moment: value for moment, value in picked.items() if value is not None}
