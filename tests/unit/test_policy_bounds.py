"""A hostile rollout.yaml of the largest size makes little work and little text: both are counted, not timed."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeldrop.errors import MAX_TEXT_CHARACTERS, PolicyRejectedError, Problem, RejectedError
from modeldrop.policy.parse import MAX_PROBLEMS, parse_policy
from modeldrop.policy.strict_yaml import MAX_POLICY_BYTES

MAX_REFUSAL_CHARACTERS = 5_000
# calls of Python functions; a good policy with 100 variables takes 60,000, most of them in PyYAML
MAX_CALLS = 1_500_000


def filled(one: Callable[[int], str], start: str = "", end: str = "", at_most: int = MAX_POLICY_BYTES) -> str:
    """As many parts as fit into the largest policy, or at most a number of them."""
    parts, size, number = [], len(start.encode()) + len(end.encode()), 0
    while number < at_most and size + len(part := one(number).encode()) <= MAX_POLICY_BYTES:
        parts.append(part.decode())
        size, number = size + len(part), number + 1
    return start + "".join(parts) + end


HOSTILE = {
    "unknown fields": filled(lambda n: f"alhpa{n}: 1\n"),
    "unknown fields of one section": filled(lambda n: f" alhpa{n}: 1\n", "judge:\n"),
    "long unknown fields": filled(lambda n: f"{n:05}{'judge' * 20}: 1\n"),
    # as many nodes as are read, so that all of them meet the schema
    "few long unknown fields": filled(lambda n: f"{n:03}{'judge_alpha' * 11}: 1\n", at_most=490),
    "few long unknown fields of one section": filled(lambda n: f" {n:03}{'é' * 60}: 1\n", "judge:\n", at_most=490),
    "few long variables": filled(lambda n: f"  SAGEMAKER_TFS_{n:0100}: x\n", "endpoint:\n environment:\n", at_most=490),
    "few equal lists": filled(lambda _: "[[],[]],", "judge: {observe: [", "]}", at_most=320),
    "few equal sections": filled(lambda _: "{a: 1},", "judge: {observe: [", "]}", at_most=320),
    "few percentiles": filled(lambda n: f"q{n:0100}: 1,", "slo: {latency: {", "}}", at_most=490),
    "few fields given twice": filled(lambda _: f"{'x' * 120}: 1\n", at_most=490),
    "few unknown fields in sections": filled(lambda n: f"{n:03}{'x' * 100}: {{a: 1}}\n", at_most=300),
    "one name in its long form": "? " + "a" * (MAX_POLICY_BYTES - 10) + "\n: 1",
    "names in their long form": filled(lambda n: f"? {'a' * 2000}{n}\n: 1\n"),
    "one endless name": "a" * (MAX_POLICY_BYTES - 3) + ": 1",
    "one endless quoted name": '"' + "a" * (MAX_POLICY_BYTES - 10) + '": 1',
    "one endless value": "strategy: " + "a" * (MAX_POLICY_BYTES - 10),
    "one endless escaped value": 'strategy: "' + "\\u202e" * ((MAX_POLICY_BYTES - 20) // 6) + '"',
    "variables": filled(lambda n: f"  LD_{n}: x\n", "endpoint:\n environment:\n"),
    "known variables again": filled(lambda _: "  OMP_NUM_THREADS: x\n", "endpoint:\n environment:\n"),
    "own variables": filled(lambda n: f"  APP_{n}: x\n", "endpoint:\n environment:\n"),
    "one field again and again": filled(lambda _: "retain: 1\n"),
    "names that are lists": filled(lambda _: "? [1]\n: 1\n"),
    "a list of words": filled(lambda _: "slow,", "judge: {observe: [", "]}"),
    "a list of lists": filled(lambda _: "[],", "judge: {observe: [", "]}"),
    "a list of sections": filled(lambda n: f"{{a: {n}}},", "judge: {observe: [", "]}"),
    "a list of equal sections": filled(lambda _: "{a: 1},", "judge: {observe: [", "]}"),
    "percentiles": filled(lambda n: f"q{n}: 1,", "slo: {latency: {", "}}"),
    "a section for a word": filled(lambda n: f"a{n}: 1,", "strategy: {", "}"),
    "a deep list": "[" * (MAX_POLICY_BYTES // 2) + "]" * (MAX_POLICY_BYTES // 2),
    "a deep section": "{a: " * (MAX_POLICY_BYTES // 4),
    "deep by dashes": "- " * (MAX_POLICY_BYTES // 2),
    "deep by questions": "? " * (MAX_POLICY_BYTES // 2),
    "wide and deep": filled(lambda n: "{a" + str(n) + ": [[[[[1]]]]]},", "judge: {observe: [", "]}"),
    "anchors": filled(lambda n: f"a{n}: &x{n} 1\n"),
    "aliases": "a: &a 1\n" + filled(lambda n: f"b{n}: *a\n")[: MAX_POLICY_BYTES - 10],
    "tags": filled(lambda n: f"a{n}: !x{n} 1\n"),
    "an endless tag": "a: !" + "x" * (MAX_POLICY_BYTES - 10) + " 1",
    "an endless anchor": "a: &" + "x" * (MAX_POLICY_BYTES - 10) + " 1",
    "directives": filled(lambda n: f"%TAG !a{n}! tag:x,2000:\n", end="---\na: 1\n"),
    "documents": filled(lambda _: "---\n"),
    "comments": filled(lambda _: "#\n"),
    "colons": filled(lambda _: ": "),
    "empty lines": "a: 1" + "\n" * (MAX_POLICY_BYTES - 10) + "b: 1",
    "an endless number": "retain: " + "9" * (MAX_POLICY_BYTES - 10),
    "backslashes": 'strategy: "' + "\\\\" * ((MAX_POLICY_BYTES - 20) // 2) + '"',
    "too large": "#" * (MAX_POLICY_BYTES + 1),
}


def refusal(text: bytes) -> PolicyRejectedError | None:
    try:
        parse_policy(text, default_instance_type="ml.g5.xlarge", default_instance_count=2)
    except PolicyRejectedError as refused:
        return refused
    return None


def characters(refused: RejectedError) -> int:
    return sum(len(str(problem)) for problem in refused.problems)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_policy_makes_little_work_and_little_text(kind: str) -> None:
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    refusal(b"")  # schema and validator are made once
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        refused = refusal(HOSTILE[kind].encode())
    finally:
        sys.setprofile(before)
    assert calls < MAX_CALLS
    if refused is None:
        assert kind == "comments"
        return
    assert len(refused.problems) <= MAX_PROBLEMS + 1
    assert characters(refused) <= MAX_REFUSAL_CHARACTERS
    assert len(str(refused)) <= MAX_TEXT_CHARACTERS
    assert str(refused).isascii()


def test_names_are_compared_for_the_few_that_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    real = difflib.get_close_matches

    def counted(word: str, known: list[str], **options: float) -> list[str]:
        compared.append((len(word), len(known)))
        return real(word, known, **options)  # type: ignore[call-overload, no-any-return]  # n and cutoff, by name

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    for kind in ("unknown fields", "unknown fields of one section", "long unknown fields", "variables"):
        compared.clear()
        refusal(HOSTILE[kind].encode())
        assert sum(length * known for length, known in compared) < 50_000


def test_of_many_problems_the_rest_is_counted() -> None:
    refused = refusal("".join(f"x{number}: 1\n" for number in range(100)).encode())
    assert refused is not None
    assert [one.code for one in refused.problems[:-1]] == ["POLICY_UNKNOWN_FIELD"] * MAX_PROBLEMS
    assert refused.problems[-1].what == f"and {100 - MAX_PROBLEMS} more"


NAMES = st.sampled_from(["judge", "endpoint", "environment", "alpha", "observe", "slo", "latency", "p99", "signature"])
TEXT = st.text(max_size=300)
DATA = st.recursive(
    TEXT | st.integers() | st.floats() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(NAMES | TEXT, inner, max_size=6),
    max_leaves=40,
)


@settings(max_examples=30)
@given(st.dictionaries(NAMES | TEXT, DATA, max_size=20), st.integers(1, 4))
def test_the_text_of_any_refusal_stays_bounded(document: dict[str, object], indent: int) -> None:
    refused = refusal(json.dumps(document, indent=indent).encode())
    if refused is not None:
        assert characters(refused) <= MAX_REFUSAL_CHARACTERS


@given(st.binary(max_size=4000))
def test_the_text_of_a_refusal_of_any_bytes_stays_bounded(text: bytes) -> None:
    refused = refusal(text)
    if refused is not None:
        assert characters(refused) <= MAX_REFUSAL_CHARACTERS


@given(
    st.lists(st.builds(Problem, TEXT.map(lambda text: text * 9), TEXT.map(lambda text: text * 99), TEXT), min_size=1)
)
def test_every_rejection_is_bounded_whoever_makes_it(found: list[Problem]) -> None:
    refused = RejectedError([Problem("X", one.code, one.what, one.where) for one in found] * 20)
    assert len(str(refused)) <= MAX_TEXT_CHARACTERS
    # the record keeps them, and the card again, in one item of 400 KB
    assert len(json.dumps([asdict(problem) for problem in refused.problems])) < 100_000
    assert refused.problems[-1].what == f"and {len(found) * 20 - 20} more" or len(found) == 1
