"""The runbook has an entry for all that modeldrop can tell a person, each in the same form, and no link is dead."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from typer.main import get_command

from cli.main import app
from modeldrop.evidence.runbook import RUNBOOK, runbook_link
from modeldrop.evidence.text import Cause
from modeldrop.release.record import OUTCOMES
from scripts.translated import ROOT, raw

PAGE = (ROOT / RUNBOOK).read_text()
CODE = "\n".join(path.read_text() for path in sorted((ROOT / "functions").rglob("*.py")))
ALARMS = {name: one for name, one in raw()["Resources"].items() if one["Type"] == "AWS::CloudWatch::Alarm"}
PARTS = ["Users", "Left", "Then", "Do", "Over"]
# an entry that sends on to others
SIGNPOSTS = {"rolled_back"}


def anchor(heading: str) -> str:
    """Give a heading's anchor as Markdown viewers make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def section(title: str) -> str:
    """Give the text below a heading of the second level."""
    return re.split(r"^## ", PAGE.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]


def entries(text: str) -> dict[str, str]:
    """Give what stands below each heading of the third level."""
    _, *parts = re.split(r"^### (.+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


ENTRIES = entries(PAGE)
ANCHORS = {anchor(heading) for heading in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)}


def subjects() -> set[str]:
    """Give the anchors of the messages that are sent on the way, from the subjects in the code."""
    return {anchor(words) for words in re.findall(r'f"modeldrop ([A-Z][A-Z ]+) \{', CODE)}


def test_every_outcome_and_every_cause_of_a_roll_back_has_its_entry_and_nothing_else_has():
    causes = {f"rolled_back_{cause}" for cause in get_args(Cause)}
    assert set(entries(section("Outcomes"))) == set(OUTCOMES) | causes


def test_every_message_on_the_way_has_its_entry_and_says_so():
    assert subjects() == {"canary-started", "approval-wanted"}
    assert set(entries(section("Messages on the way"))) == subjects()
    assert set(re.findall(r'runbook_link\([^)]*, "([\w-]+)"\)', CODE)) == subjects()


def test_every_alarm_has_its_entry_and_links_to_it():
    assert set(entries(section("Alarms on our own machinery"))) == set(ALARMS)
    for name, alarm in ALARMS.items():
        told = alarm["Properties"]["AlarmDescription"]["Fn::Sub"]
        assert told.endswith(f" ${{RunbookUrl}}#{anchor(name)}"), name


@pytest.mark.parametrize("heading", sorted(set(ENTRIES) - SIGNPOSTS))
def test_an_entry_says_the_same_five_things(heading):
    found = re.findall(r"^- \*\*(\w+)\*\*: \S.+$", ENTRIES[heading].split("\n## ")[0], re.MULTILINE)
    assert found == PARTS


def test_no_anchor_is_dead_or_doubled():
    linked = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        linked |= set(re.findall(r"runbook\.md#([\w-]+)", path.read_text()))
    assert linked <= ANCHORS
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    assert len(headings) == len({anchor(heading) for heading in headings})


def test_every_situation_is_led_to():
    linked = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert set(entries(section("Situations"))) <= linked


def test_every_command_is_one_of_the_command_line():
    known = set(get_command(app).commands)  # type: ignore[attr-defined] the app is a group
    asked = set(re.findall(r"`modeldrop ([a-z]+)", PAGE))
    assert asked >= {"status", "show", "abort", "rollback", "doctor", "drop", "approve", "deny"}
    assert asked <= known


def test_every_function_and_queue_is_one_of_the_template():
    names = {
        one["Properties"]["FunctionName"]["Fn::Sub"].replace("${AWS::StackName}", "modeldrop")
        for one in raw()["Resources"].values()
        if one["Type"] == "AWS::Serverless::Function"
    }
    asked = set(re.findall(r"(?:/aws/lambda/|--function-name )(modeldrop-[a-z-]+)", PAGE)) - {"modeldrop-"}
    assert asked <= names
    assert "modeldrop-reconcile:live" in PAGE
    assert raw()["Globals"]["Function"]["AutoPublishAlias"] == "live"
    assert raw()["Resources"]["UploadDeadLetters"]["Type"] == raw()["Resources"]["RecoveryDeadLetters"]["Type"]


def test_the_stack_s_page_reaches_the_functions_that_send_messages(machine, template):
    for state in ("RequestApproval", "JudgeRollout", "FinishRelease"):
        assert machine["States"][state]["Arguments"]["Payload"]["runbook"] == "${RunbookUrl}"
    given = template["Resources"]["ReleaseStateMachine"]["Properties"]["DefinitionSubstitutions"]
    assert given["RunbookUrl"] == {"Ref": "RunbookUrl"}


@pytest.mark.parametrize(
    ("address", "taken"),
    [
        ("docs/runbook.md", True),
        ("https://wiki.example.com/teams/ml/runbook", True),
        ("https://github.com/you/fork/blob/main/docs/runbook.md", True),
        ("http://wiki.example.com/runbook", False),
        ("https://wiki.example.com/runbook#top", False),
        ('https://wiki.example.com/"}', False),
        ("javascript:alert(1)", False),
        ("", False),
    ],
)
def test_the_page_is_an_https_address_or_the_file(template, address, taken):
    parameter = template["Parameters"]["RunbookUrl"]
    assert bool(re.fullmatch(parameter["AllowedPattern"], address)) is taken
    assert parameter["Default"] == RUNBOOK


def test_a_link_names_the_file_where_no_page_is_known():
    assert runbook_link("", "failed") == "docs/runbook.md#failed"
    assert runbook_link("https://example.com/r", "failed") == "https://example.com/r#failed"
