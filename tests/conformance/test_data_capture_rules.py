"""What is captured, how it is written and how much of it is kept: the rules of data capture, without a cloud.

Sources: SageMaker API reference (DataCaptureConfig, CaptureContentTypeHeader); developer guide, "Capture data from
real-time endpoint".
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest

from localcloud import front_capture
from localcloud.front_capture import Captured, Captures, encoding_of, line, object_key
from localcloud.front_fleet import FleetAnswer
from localcloud.front_routes import CaptureRule, FleetRoute
from localcloud.sagemaker.capture import rule, summary
from tests.conformance.hosting import VARIANT
from tests.conformance.test_data_capture import BUCKET, capture

RULE = CaptureRule(100, "bucket", "p", None, True, True, ("text/csv",), ("application/json",))


def a_fleet(rule=RULE, name="fleet-1"):
    return FleetRoute(name, 1, 1.0, "config", False, rule)


def add(captures, fleet, body=b"[]", answer=b"{}"):
    answered = FleetAnswer(200, {"content-type": "application/json"}, answer)
    captures.add("E", VARIANT, fleet, ({"content-type": "application/json"}, body), answered)


def test_keys_are_of_the_time_of_the_first_record_in_utc():
    moment = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC).timestamp()
    assert object_key("a/b", "E/V", moment, "name") == "a/b/E/V/2026/01/02/03/04-05-678-name.jsonl"
    assert object_key("", "E/V", moment, "name") == "E/V/2026/01/02/03/04-05-678-name.jsonl"


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("text/csv; charset=utf-8", "CSV"), ("Text/CSV", "CSV"), ("application/json", "JSON"),
        ("text/csv2", "BASE64"), ("", "BASE64"),
    ],
)  # fmt: skip
def test_parameters_and_case_of_a_type_do_not_count(content_type, encoding):
    assert encoding_of(RULE, content_type) == encoding


def test_bytes_that_are_no_text_are_base64_whatever_their_type():
    record = Captured("id", 0.0, "text/csv", b"\xff", "text/csv", None, None, None)
    assert json.loads(line(RULE, record))["captureData"]["endpointInput"] == {
        "observedContentType": "text/csv", "mode": "INPUT", "data": "/w==", "encoding": "BASE64",
    }  # fmt: skip


def test_line_breaks_of_a_payload_stay_within_its_line():
    record = Captured("id", 0.0, "text/csv", "1,2\r\n3,4\u2028\n".encode(), "text/csv", None, None, None)
    text = line(RULE, record)
    assert len(text.splitlines()) == 1
    assert json.loads(text)["captureData"]["endpointInput"]["data"] == "1,2\r\n3,4\u2028\n"


def test_memory_is_bounded_and_what_does_not_fit_is_counted(monkeypatch):
    monkeypatch.setattr(front_capture, "MAX_WAITING_BYTES", 10_000)
    captures = Captures()
    for _ in range(10):
        add(captures, a_fleet(), b"x" * 3000)
    assert captures.dropped == 8
    captures.close_files()
    (file,) = captures.waiting
    assert len(file.records) == 2
    captures.written()
    add(captures, a_fleet(), b"x" * 3000)
    assert captures.dropped == 8


def test_a_large_file_is_due_at_once_and_the_next_begins():
    captures = Captures()
    captures.keep_only(frozenset(["fleet-1"]))
    add(captures, a_fleet())
    assert not captures.due.is_set()
    add(captures, a_fleet(), b"x" * front_capture.FILE_BYTES)
    assert captures.due.is_set()
    add(captures, a_fleet())
    captures.close_files()
    assert [len(file.records) for file in captures.waiting] == [2, 1]
    assert len({file.key for file in captures.waiting}) == 2


def test_what_a_fleet_leaves_is_due_when_it_goes_and_after():
    captures = Captures()
    captures.keep_only(frozenset(["fleet-1", "fleet-2"]))
    add(captures, a_fleet())
    captures.keep_only(frozenset(["fleet-1"]))
    assert not captures.due.is_set()
    captures.keep_only(frozenset())
    assert captures.due.is_set()
    captures.close_files()
    assert not captures.due.is_set()
    add(captures, a_fleet())
    assert captures.due.is_set()


def test_a_modes_payload_that_is_not_asked_for_is_not_kept():
    captures = Captures()
    output_only = CaptureRule(100, "bucket", "p", None, False, True, (), ())
    add(captures, a_fleet(output_only), b"x" * 5000)
    captures.close_files()
    assert captures.waiting[0].size < 1000
    assert asyncio.run(captures.waiting[0].lines()).count("\n") == 1


def test_a_file_ends_with_the_hour(monkeypatch):
    captures = Captures()
    for moment in (3599.9, 3600.0):
        monkeypatch.setattr(front_capture.time, "time", lambda moment=moment: moment)
        add(captures, a_fleet())
    captures.close_files()
    assert [file.key[: len("p/E/AllTraffic/1970/01/01/00/59-59-900")] for file in captures.waiting] == [
        "p/E/AllTraffic/1970/01/01/00/59-59-900", "p/E/AllTraffic/1970/01/01/01/00-00-000",
    ]  # fmt: skip


def test_all_requests_or_none_or_a_share_are_taken():
    taken = {}
    for percent in (0, 30, 100):
        captures = Captures()
        for _ in range(5000):
            add(captures, a_fleet(CaptureRule(percent, "bucket", "p", None, True, True, (), ())))
        captures.close_files()
        taken[percent] = sum(len(file.records) for file in captures.waiting)
    assert (taken[0], taken[100]) == (0, 5000)
    assert 1300 < taken[30] < 1700  # 1500 is expected; six standard deviations either way


def test_fleets_write_files_of_their_own_also_to_one_place():
    captures = Captures()
    for name in ("blue", "green", "blue"):
        add(captures, a_fleet(name=name))
    captures.close_files()
    assert [len(file.records) for file in captures.waiting] == [2, 1]


def test_a_fleet_without_a_rule_is_not_captured():
    captures = Captures()
    add(captures, a_fleet(None))
    captures.close_files()
    assert not captures.waiting


def test_a_capture_is_enabled_unless_it_says_otherwise():
    silent = {key: value for key, value in capture("p", percent=30).items() if key != "EnableCapture"}
    assert summary(silent) == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 30,
        "DestinationS3Uri": f"s3://{BUCKET}/p",
    }
    disabled = capture("p", EnableCapture=False)
    assert (summary(disabled)["EnableCapture"], summary(disabled)["CaptureStatus"]) == (False, "Stopped")
    assert rule({"DataCaptureConfig": silent}) is not None
    assert rule({"DataCaptureConfig": disabled}) is None
    assert rule({}) is None


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        (["Input"], (True, False)),
        (["Output"], (False, True)),
        (["Input", "Output"], (True, True)),
        (["InputAndOutput"], (True, True)),
    ],
)
def test_only_the_modes_that_are_asked_for_are_captured(modes, expected):
    found = rule({"DataCaptureConfig": capture("p", modes=modes)})
    assert (found["input"], found["output"]) == expected


def test_types_that_are_not_listed_are_base64_also_where_no_list_is_given():
    assert rule({"DataCaptureConfig": capture("p")})["csv_types"] == ["text/csv"]
    none = rule({"DataCaptureConfig": capture("p", CaptureContentTypeHeader={})})
    assert (none["csv_types"], none["json_types"]) == ([], [])
    half = rule({"DataCaptureConfig": capture("p", CaptureContentTypeHeader={"CsvContentTypes": ["Text/CSV"]})})
    assert (half["csv_types"], half["json_types"]) == (["text/csv"], [])
