"""Where a rehearsal runs, which answers are right, and what is told of it."""

from __future__ import annotations

import pytest

from modeldrop.artifact.golden import GoldenRequest, lacks_cpu_kernel, parse_golden, wrong_answer
from modeldrop.policy.model import GatesPolicy
from modeldrop.release.rehearsal import rehearsal_line
from modeldrop.rollout.rehearsing import GIB, rehearsal_place
from tests.unit.rollout_builders import a_plan, a_policy

ONE = GoldenRequest({"instances": [1]}, {"predictions": [2.0]})
UNANSWERED = GoldenRequest({"instances": [1]}, None)
# TensorFlow 2.20 on a CPU, asked for an operation that cuDNN alone has
NO_KERNEL = b"""{"error": "No OpKernel was registered to support Op 'CudnnRNNV3' used by
 {{node CudnnRNNV3}} with these attrs: [seed=0]\\nRegistered devices: [CPU]\\nRegistered
 kernels:\\n  <no registered kernels>"}"""
FACTS = {
    "place": "ml.c5.large",
    "asked": 3,
    "known": 3,
    "cold_ms": 812.4,
    "warm_ms": 4.1,
    "problem": "",
    "gpu_only": False,
}


def test_a_small_model_is_rehearsed_where_the_policy_says() -> None:
    for place in ("serverless", "ml.c5.large", "ml.r5.large", "off"):
        assert rehearsal_place(place, 10**6, 10**7) == (place, "")


@pytest.mark.parametrize(("archive", "unpacked"), [(1 * GIB, 5 * GIB + 1), (3 * GIB, 3 * GIB)], ids=["memory", "disk"])
def test_a_model_too_large_for_serverless_is_rehearsed_on_an_instance_and_the_reason_told(
    archive: int, unpacked: int
) -> None:
    place, why = rehearsal_place("serverless", archive, unpacked)
    assert place in ("ml.c5.large", "ml.m5.large")
    assert "instead of serverless" in why
    assert "6 GB" in why


def test_a_model_at_the_limit_of_serverless_stays_there() -> None:
    assert rehearsal_place("serverless", 0, 5 * GIB) == ("serverless", "")


def test_without_the_model_s_size_the_place_is_the_one_that_was_asked_for() -> None:
    assert rehearsal_place("serverless", None, None) == ("serverless", "")


def test_a_model_too_large_for_the_default_instance_gets_the_next_that_holds_it() -> None:
    assert rehearsal_place("ml.c5.large", 9 * GIB, 10 * GIB)[0] == "ml.m5.xlarge"
    assert rehearsal_place("ml.c5.large", 9 * GIB, 1000 * GIB)[0] == "ml.m5.12xlarge"


def test_the_plan_says_where_the_rehearsal_goes_and_that_there_is_none() -> None:
    moved = a_plan(policy=a_policy(gates=GatesPolicy("serverless")), archive_bytes=4 * GIB, unpacked_bytes=6 * GIB)
    assert moved.rehearsal_instance_type == "ml.m5.large"
    assert any(note.startswith("rehearsal on ml.m5.large instead of serverless") for note in moved.notes)
    off = a_plan(policy=a_policy(gates=GatesPolicy("off")))
    assert "not rehearsed: gates.rehearsal is off" in off.notes


def test_a_right_answer_has_nothing_wrong() -> None:
    assert wrong_answer(ONE, 200, b'{"predictions": [2.0001]}') is None


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (500, b"oops", "status 500"),
        (200, b"<html>", "not JSON"),
        (200, b'{"error": "no such vocabulary"}', "error inside a 200"),
        (200, b'{"predictions": [2.0], "errorMessage": "half"}', "error inside a 200"),
        (200, b'{"predictions": [2.1]}', "expected 2 within"),
        (200, b"[" * 100_000, "not JSON"),
    ],
)
def test_a_wrong_answer_is_told(status: int, body: bytes, told: str) -> None:
    assert told in (wrong_answer(ONE, status, body) or "")


def test_an_error_that_is_expected_is_an_answer() -> None:
    assert wrong_answer(GoldenRequest({}, {"error": "empty"}), 200, b'{"error": "empty"}') is None


def test_a_request_without_answer_takes_any_but_an_error() -> None:
    assert wrong_answer(UNANSWERED, 200, b'{"predictions": ["anything"]}') is None
    assert wrong_answer(UNANSWERED, 200, b'{"error": "x"}')
    assert wrong_answer(UNANSWERED, 400, b"{}")


def test_a_golden_file_may_leave_the_answer_out() -> None:
    assert parse_golden(b'{"request": {"instances": [1]}}') == (UNANSWERED,)


def test_an_operation_without_a_cpu_kernel_is_known_by_tensorflow_s_words() -> None:
    assert lacks_cpu_kernel(NO_KERNEL)
    assert not lacks_cpu_kernel(NO_KERNEL.replace(b"[CPU]", b"[GPU, CPU]"))
    assert not lacks_cpu_kernel(b'{"error": "Matrix size-incompatible"}')


def test_the_line_of_a_rehearsal_has_place_counts_and_both_latencies() -> None:
    line = rehearsal_line(FACTS, {"rehearsal_instance_type": "ml.c5.large"})
    assert line == "on ml.c5.large: 3 of 3 golden requests asked, all answered; cold 812 ms, warm 4 ms"


def test_the_line_names_why_the_place_is_another() -> None:
    assert "(instead of serverless" in rehearsal_line(FACTS, {"rehearsal_note": "instead of serverless: 6 GB"})


def test_a_skipped_rehearsal_is_told_with_its_reason() -> None:
    line = rehearsal_line({}, {"rehearsal_instance_type": "off"})
    assert "gates.rehearsal is off" in line
    assert "users met it" not in line  # a release that ends before its rollout is told the same


def test_a_model_without_golden_requests_is_told_to_have_loaded_only() -> None:
    none = FACTS | {"asked": 0, "known": 0}
    assert "no golden requests" in rehearsal_line(none, {"rehearsal_instance_type": "ml.c5.large"})


def test_golden_requests_that_were_not_asked_are_not_told_to_be_missing() -> None:
    line = rehearsal_line(FACTS | {"asked": 0}, {"rehearsal_instance_type": "ml.c5.large"})
    assert "none of its 3 golden requests was asked" in line


def test_an_operation_for_gpus_only_is_told_and_no_praise_given() -> None:
    line = rehearsal_line(FACTS | {"problem": "golden request 1 ...", "gpu_only": True}, {"x": 1})
    assert "runs on GPU only" in line
    assert "all answered" not in line


def test_a_release_that_had_no_plan_has_no_line() -> None:
    assert rehearsal_line({}, {}) == ""
    assert rehearsal_line({}, {"rehearsal_instance_type": "ml.c5.large"}) == ""
