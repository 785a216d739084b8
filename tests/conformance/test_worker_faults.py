"""Threads and loops of the local cloud under faults: one thing that fails costs itself, is told, and stops nothing.

No cloud runs here: each worker is met alone, with stand-ins for what it calls.
"""

from __future__ import annotations

import http.client
import importlib
import json
import os
import socket
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from localcloud.cloudwatch.actions import Actions
from localcloud.cloudwatch.alarms import Alarm, Alarms, Change
from localcloud.events import delivery as delivery_module
from localcloud.events.delivery import Delivery
from localcloud.events.schedules import Ticker, tick_until
from localcloud.lambda_runtime import asynchronous
from localcloud.lambda_runtime.environment import Outcome
from localcloud.lambda_runtime.runtime_api import RuntimeApi
from localcloud.model_server.launcher import Launcher, ServerProcess
from localcloud.model_server.zygote import Zygote
from localcloud.sagemaker import records
from localcloud.sagemaker.fleets import FleetHouse
from localcloud.sagemaker.guardrails import Plan, Step
from localcloud.sagemaker.hosting import Hosting
from localcloud.sagemaker.records import Endpoint, EndpointConfig, Fleet, Variant
from localcloud.sagemaker.rollout import Creation, Rollout

PATIENCE_SECONDS = 60.0  # how a hang is told from a busy machine
install = importlib.import_module("localcloud.lambda_runtime.install")  # the package has a function of that name


def wait_for(condition) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "a thread is dead or hangs"
        time.sleep(0.01)


def raising(*_arguments: Any, **_named: Any) -> Any:
    raise AttributeError("a defect")


def a_rule(name: str, *targets: dict[str, Any], matches=lambda _event: True) -> Any:
    pattern = SimpleNamespace(get_pattern=lambda: {"a": ["b"]}, matches_event=matches)
    return SimpleNamespace(name=name, arn=f"arn:{name}", state="ENABLED", targets=targets, event_pattern=pattern)


class Caught:
    """Notes what is delivered; the defect that only some targets have is not among what a delivery may fail with."""

    def __init__(self) -> None:
        self.payloads: list[str] = []
        self.queued: list[str] = []

    def deliver(self, _event: Any, payload: str, _rule: Any, target: dict[str, Any]) -> None:
        if target["Id"] == "bad":
            raise OSError("no way there")
        self.payloads.append(payload)

    def send_to_queue(self, queue: str, *_more: Any) -> None:
        self.queued.append(queue)
        raise AttributeError("a defect")


@pytest.fixture
def delivery():
    started = Delivery(Caught())  # type: ignore[arg-type] a stand-in
    started.start()
    yield started
    started.stop()


def test_events_are_delivered_after_as_many_defects_as_there_are_threads(delivery, capfd):
    bad = {"Id": "bad", "Arn": "arn:bad", "RetryPolicy": {"MaximumRetryAttempts": "many"}}
    dead = {"Id": "bad", "Arn": "x", "RetryPolicy": {"MaximumRetryAttempts": 0}, "DeadLetterConfig": {"Arn": "q"}}
    for target in (bad, dead):
        for _ in range(delivery_module.WORKERS):  # eight
            delivery.to_targets({"id": "1"}, a_rule("r", target))
    delivery.to_targets({"id": "2"}, a_rule("r", {"Id": "good", "Arn": "y"}))
    wait_for(lambda: delivery._targets.payloads)
    told = ""

    def all_are_told() -> bool:
        nonlocal told
        told += capfd.readouterr().err
        return (told.count("an event is lost"), told.count("took nothing either")) == (8, 8)

    wait_for(all_are_told)


def test_a_pattern_or_an_input_that_can_not_be_made_costs_only_itself(delivery, capfd):
    delivery.to_rule({"id": "1"}, a_rule("broken", matches=raising))
    transformer = {"Id": "a", "Arn": "x", "InputTransformer": {"InputTemplate": 5}}
    delivery.to_rule({"id": "1"}, a_rule("works", transformer, {"Id": "b", "Arn": "y"}))
    wait_for(lambda: delivery._targets.payloads)
    told = capfd.readouterr().err
    assert "rule broken" in told
    assert "rule works, target a" in told


def test_a_schedule_that_can_not_fire_stops_no_other(capfd, monkeypatch):
    from moto.events.models import events_backends

    bus = SimpleNamespace(rules={})
    monkeypatch.setitem(events_backends["123456789012"]["us-east-1"].event_buses, "default", bus)
    for name in ("first", "second"):
        bus.rules[name] = SimpleNamespace(
            name=name, arn=name, scheduled_expression="rate(1 minute)", state="ENABLED", targets=[]
        )
    fired: list[str] = []

    def to_targets(_event: Any, rule: Any) -> None:
        fired.append(rule.name)
        if rule.name == "first":
            raise AttributeError("a defect")

    ticker = Ticker("us-east-1", SimpleNamespace(to_targets=to_targets))
    for now in (0.0, 61.0, 62.0):
        ticker.tick(now)
    assert fired == ["first", "second"]
    assert "rule first did not fire" in capfd.readouterr().err


def test_the_ticker_goes_on_after_a_defect(capfd):
    stopped, looks = threading.Event(), list[float]()

    def tick(now: float) -> None:
        looks.append(now)
        if len(looks) > 2:
            stopped.set()
        raising()

    tick_until(SimpleNamespace(tick=tick), stopped, 0.001)  # type: ignore[arg-type] a stand-in
    assert len(looks) == 3
    assert "the schedules' ticker failed" in capfd.readouterr().err


def test_alarm_actions_go_on_after_one_that_is_no_action(capfd):
    published: list[str] = []
    sns = SimpleNamespace(publish=lambda **named: published.append(named["TopicArn"]))
    alarms = Alarms()
    actions = Actions(SimpleNamespace(client=lambda _name: sns, region="us-east-1"), alarms)  # type: ignore[arg-type]
    request = {"AlarmActions": ["none", "arn:aws:sns:us-east-1:1:topic"], "AlarmRule": "x"}
    alarm = Alarm("a", "arn", request, 0.0, state="ALARM")
    actions.start()
    actions._changes.put(Change(alarm, alarm))
    wait_for(lambda: published)
    wait_for(lambda: len(alarms.history()) == 2)
    actions.stop()
    assert [item.detail["actionState"] for item in alarms.history()] == ["Failed", "Succeeded"]


QUEUE = "arn:aws:sqs:us-east-1:123456789012:failed"


def run_asynchronously(pool: Any, monkeypatch: Any) -> list[Any]:
    monkeypatch.setattr(asynchronous, "RETRY_WAIT_SECONDS", (0.0, 0.0))
    sent: list[Any] = []
    sqs = SimpleNamespace(
        get_queue_url=lambda **_: {"QueueUrl": "u"}, send_message=lambda **named: sent.append(named["MessageBody"])
    )
    config = SimpleNamespace(config={"DestinationConfig": {"OnFailure": {"Destination": QUEUE}}})
    function = SimpleNamespace(function_name="f", event_invoke_config=[config], version="$LATEST")
    asynchronous._run(SimpleNamespace(client=lambda _: sqs), pool, function, b"{}", "arn:f")  # type: ignore[arg-type]
    return [json.loads(text) for text in sent]


def test_an_event_that_could_not_be_run_reaches_its_destination(monkeypatch, caplog):
    tries: list[int] = []

    def invoke(*_arguments: Any) -> Outcome:
        tries.append(1)
        raise OSError("no process to be had")

    (record,) = run_asynchronously(SimpleNamespace(invoke=invoke), monkeypatch)
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert len(tries) == 3
    assert "no process to be had" in caplog.text


def test_an_answer_that_is_no_json_or_a_log_that_fails_loses_no_event(monkeypatch, caplog):
    monkeypatch.setattr(asynchronous, "write_log", raising)
    outcome = Outcome("id", b"<no json>", True, "", "s", 1.0)
    (record,) = run_asynchronously(SimpleNamespace(invoke=lambda *_: outcome), monkeypatch)
    assert record["responsePayload"] == "<no json>"
    assert "a defect" in caplog.text


def test_idle_environments_are_ended_after_a_defect(monkeypatch, caplog):
    looks: list[int] = []

    def reap() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise SystemExit
        raising()

    monkeypatch.setattr(install, "REAP_EVERY_SECONDS", 0.001)
    with pytest.raises(SystemExit):
        install._reap(SimpleNamespace(reap=reap))  # type: ignore[arg-type] a stand-in
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/2018-06-01/runtime/other", {}, 404),  # it would wait for an event, and take it away
        ("POST", "/", {}, 404),
        ("POST", "/2018-06-01/runtime/invocation/1/other", {}, 404),
        ("POST", "/2018-06-01/runtime/invocation/1/response", {"Content-Length": "many"}, 400),
    ],
)
def test_the_runtime_api_answers_what_it_does_not_know(method, path, headers, status):
    api = RuntimeApi()
    try:
        connection = http.client.HTTPConnection(api.address, timeout=PATIENCE_SECONDS)
        connection.putrequest(method, path)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == status
        connection.close()
    finally:
        api.close()


def a_house(**calls: Any) -> Any:
    return SimpleNamespace(**{"start": lambda *_: None, "end": lambda _fleet: None, **calls})


def a_hosting(**parts: Any) -> Any:
    said: list[str] = []

    def set_status(endpoint: Endpoint, status: str) -> None:
        endpoint.status = status
        said.append(status)

    router = SimpleNamespace(publish=lambda: None, drain=lambda _fleets: None)
    fleet = Fleet("f", "e", "AllTraffic", "new", {}, 1, True)
    ready = {
        "lock": threading.RLock(),
        "house": a_house(),
        "router": router,
        "set_status": set_status,
        "deployment_changed": lambda _endpoint: None,
        "new_fleet": lambda *_, **__: fleet,
        "faults": SimpleNamespace(find=lambda *_: None),
        "said": said,
    }
    return SimpleNamespace(**{**ready, **parts})


def a_variant() -> Variant:
    return Variant("AllTraffic", {}, 1.0, 1, 1.0, 1, "")


def an_endpoint() -> Endpoint:
    return Endpoint("e", "arn", "old", 0.0, status=records.UPDATING, variants={"AllTraffic": a_variant()})


CONFIG = EndpointConfig("new", "arn", {"ProductionVariants": []}, 0.0)
PLAN = Plan("blue_green", (Step({"AllTraffic": 1}, 0, "full", ""),), {"AllTraffic": 1}, (), 60)


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ({"house": a_house(start=raising)}, records.IN_SERVICE),  # rolled back
        ({"router": SimpleNamespace(publish=raising, drain=raising)}, records.ROLLBACK_FAILED),
        ({"router": SimpleNamespace(publish=lambda: None, drain=raising)}, records.ROLLBACK_FAILED),
    ],
    ids=["provisioning", "rolling back", "promoting"],
)
def test_an_endpoint_comes_to_rest_after_a_defect_of_its_rollout(parts, status, caplog):
    endpoint, hosting = an_endpoint(), a_hosting(**parts)
    Rollout(hosting, endpoint, CONFIG, {"AllTraffic": a_variant()}, PLAN)._run()
    assert endpoint.status == status
    assert "defect of the local cloud" in endpoint.failure_reason
    assert "a defect" in caplog.text


def test_an_endpoint_comes_to_rest_after_a_defect_of_its_creation(caplog):
    endpoint = an_endpoint()
    hosting = a_hosting(router=SimpleNamespace(publish=raising))
    Creation(hosting, endpoint, CONFIG, {"AllTraffic": a_variant()})._run()
    assert endpoint.status == records.FAILED
    assert "a defect" in caplog.text


@pytest.fixture
def hosting(tmp_path):
    made = Hosting(SimpleNamespace(directory=tmp_path, public_url="http://127.0.0.1:1", region="us-east-1"))  # type: ignore[arg-type]
    made.registry.tags = lambda _arn: {}  # type: ignore[method-assign] nothing is told here
    return made


def test_an_endpoint_that_can_not_be_ended_is_not_deleting_for_ever(hosting, caplog):
    endpoint = an_endpoint()
    hosting.router = SimpleNamespace(publish=raising)
    hosting._delete(endpoint)
    assert endpoint.status == records.FAILED
    assert "a defect" in caplog.text


def test_a_change_of_capacity_holds_no_lock_while_the_front_is_told(hosting):
    """The front that fetches the table needs the lock, and so does every Describe call: ten seconds for nothing."""
    endpoint, free = an_endpoint(), list[bool]()

    def another() -> None:
        free.append(hosting.lock.acquire(timeout=1.0))
        if free[-1]:
            hosting.lock.release()

    def publish() -> None:
        other = threading.Thread(target=another)
        other.start()
        other.join()

    hosting.router = SimpleNamespace(publish=publish)
    hosting._rescale(endpoint)
    assert free == [True]
    hosting.router = SimpleNamespace(publish=raising)
    endpoint.status = records.UPDATING
    hosting._rescale(endpoint)
    assert endpoint.status == records.IN_SERVICE


def test_a_container_is_started_again_whatever_one_try_trips_over(tmp_path, monkeypatch, caplog):
    from localcloud.sagemaker import fleets

    monkeypatch.setattr(fleets, "RESTART_DELAY_SECONDS", 0.001)
    core = SimpleNamespace(directory=tmp_path, client=raising)  # the logs can't be reached either
    house = FleetHouse(core, SimpleNamespace(), SimpleNamespace(), lambda: changed.append(1))  # type: ignore[arg-type]
    tries, changed = list[int](), list[int]()

    def launch(*_arguments: Any) -> None:
        tries.append(1)
        if len(tries) < 3:
            raising()

    monkeypatch.setattr(house, "_launch", launch)
    fleet = Fleet("f", "e", "AllTraffic", "c", {}, 1, True)
    house._restart(fleet, {}, ServerProcess("p", 1, 0, tmp_path / "log"))
    assert (len(tries), len(changed)) == (3, 1)
    assert "the restart of f" in caplog.text


def test_the_launcher_hears_on_after_what_it_does_not_understand(tmp_path, caplog):
    ours, theirs = socket.socketpair()
    launcher, ready = Launcher(tmp_path), threading.Event()
    launcher._waiting["good"] = waiting = (threading.Event(), list[ServerProcess]())
    listener = threading.Thread(target=launcher._listen, args=(ours, ready), daemon=True)
    listener.start()
    for message in (
        b"no json",
        b'{"event": "started", "id": "nobody waits for it", "port": 1, "pid": 4194305}',
        b'{"event": "started", "id": "good", "port": 1, "pid": 4194305}',
    ):
        theirs.sendall(message + b"\n")
    assert waiting[0].wait(PATIENCE_SECONDS)
    assert waiting[1][0].name == "good"
    assert "no json" in caplog.text
    theirs.close()
    listener.join(PATIENCE_SECONDS)
    ours.close()


def test_a_server_that_can_not_be_forked_is_refused_and_ends_no_other(tmp_path, monkeypatch):
    def no_process() -> int:
        raise BlockingIOError("too many processes")

    monkeypatch.setattr(os, "fork", no_process)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b'{"id": "a", "directory": "/", "environment": {}, "log": "/dev/null"}\n')
        assert Zygote(theirs)._receive()
        told = json.loads(ours.recv(1000))
    assert (told["event"], told["id"]) == ("refused", "a")
    launcher = Launcher(tmp_path)
    launcher._waiting["a"] = waiting = (threading.Event(), list[ServerProcess]())
    launcher._hear(told, threading.Event())
    assert waiting[0].is_set()
    assert not waiting[1]
