"""The user's path: sam build, sam deploy, six models dropped under traffic, on one local cloud."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cli.demo.story as demo
from cli.demo.jobs import root
from cli.demo.results import Drop, Story
from cli.screen import PlainScreen, Screen
from localcloud.cloud import LocalCloud

# a dead-man switch that is as patient as these bakes allow: other suites run beside this one
PATIENT = {b"dead_man: 20s": b"dead_man: 40s"}

pytestmark = pytest.mark.timeout(900)


# what each command printed at the end of the story, by its first words
ASKED: dict[str, Any] = {}


def ask(_: Screen, cloud: LocalCloud) -> None:
    for words in (("status",), ("history", "sentiment")):
        command = [sys.executable, "-m", "cli.main", *words, "--json"]
        environment = {**os.environ, **cloud.environment()}
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        ASKED[words[0]] = json.loads(answer.stdout)


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    policy = Path(demo.__file__).with_name("rollout.yaml").read_bytes()
    for old, new in PATIENT.items():
        assert old in policy
        policy = policy.replace(old, new)
    # not the demo's own directory, so that both can run at once; kept, so that the next run builds less
    with PlainScreen() as screen:
        yield demo.tell(screen, root() / ".localcloud" / "e2e", policy, at_end=ask)


def drop(story: Story, name: str) -> Drop:
    return next(one for one in story.drops if one.name == name)


def test_every_outcome_is_the_expected_one_and_users_are_served_throughout(story: Story) -> None:
    assert not story.problems(), "; ".join(story.problems())


def test_a_better_model_is_promoted_after_users_met_it_as_a_canary(story: Story) -> None:
    promoted = drop(story, "release-2")
    assert promoted.record.outcome == "promoted"
    assert promoted.canary_requests is not None
    assert promoted.canary_requests >= 10
    assert not story.seen_during(promoted).failed


def test_a_regressed_model_is_rolled_back_while_only_its_canary_fails(story: Story) -> None:
    bad = drop(story, "release-3")
    assert bad.record.outcome == "rolled_back"
    failed = len(story.seen_during(bad).failed)
    assert bad.canary_requests is not None
    assert 0 < failed <= bad.canary_requests
    # the canary has one tenth of the traffic: how soon the judge is sure is a matter of chance and load
    assert failed < 0.1 * len(story.seen_during(bad).requests)


def test_a_rolled_back_release_leaves_the_live_model_as_it_was(story: Story) -> None:
    assert drop(story, "release-3").record.evidence["live"] == drop(story, "release-2").release


def test_a_hostile_archive_is_refused_by_name_before_anything_is_made(story: Story) -> None:
    refused = drop(story, "release-4")
    assert refused.record.outcome == "rejected"
    assert any("../../escape" in one["where"] + one["what"] for one in refused.record.problems)
    assert refused.record.plan == {}


def test_a_model_that_speaks_another_language_is_refused_with_the_difference(story: Story) -> None:
    refused = drop(story, "release-5")
    assert refused.record.outcome == "rejected"
    said = [f"{one['code']} {one['what']}" for one in refused.record.problems]
    assert any("SERVING_BREAKING" in one and "input text" in one and "gone" in one for one in said), said


def test_a_model_that_says_positive_to_everyone_is_rolled_back_though_nothing_fails(story: Story) -> None:
    flattering = drop(story, "release-6")
    assert flattering.record.outcome == "rolled_back"
    assert 'says "positive" to 100%, blue to ' in flattering.record.evidence["verdict"]["reasons"][0]
    assert not story.seen_during(flattering).failed


def test_each_release_is_told_by_exactly_one_outcome_message(story: Story) -> None:
    words = ("CREATED", "PROMOTED", "ROLLED BACK", "REJECTED", "REJECTED", "ROLLED BACK")
    told = [next((word for word in words if word in subject), None) for subject in story.messages]
    assert [word for word in told if word] == list(words)


def test_the_commands_tell_the_same_as_the_releases(story: Story) -> None:
    assert [one["outcome"] for one in ASKED["history"]] == [
        "rolled_back",
        "rejected",
        "rejected",
        "rolled_back",
        "promoted",
        "created",
    ]
    assert ASKED["status"][0]["live"] == drop(story, "release-2").release
    assert ASKED["status"][0]["sagemaker_status"] == "InService"
