"""Lease, fence and supersession explored exhaustively: every order in which 2 or 3 releases can take their steps.

The decisions are the real functions of `release.lease`; the writes are modelled as the table makes them (each with its
condition). A step is what happens between two calls of AWS, so every interleaving, every death between two calls, every
late clock and every recovery is visited once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import pytest

from modeldrop.release import lease as leases
from modeldrop.release.lease import Lease

# the clock of whoever reads the lease: before its end, or after it (also a clock that is wrong)
EARLY, LATE = 0, 2
EXPIRES = 1


class One(NamedTuple):
    """One release. at: its next step. seen: the lease as it read it. runs: whether its execution runs.

    fence: what it holds by. crashes: how often it may still die.
    """

    at: str = "validated"
    seen: Lease | None = None
    runs: bool = True
    fence: int = 0
    approved: bool = False
    outcome: str = ""


class State(NamedTuple):
    """Everything. last: fence of the last act on the endpoint, and whose it was; deaths: how many may still come."""

    lease: Lease
    releases: tuple[One, ...]
    last: tuple[int, int] = (0, -1)
    deaths: int = 1


def name(number: int) -> str:
    return f"r{number}"


def order(number: int) -> str:
    return f"{number}"


def runs(state: State, release: str) -> bool:
    return state.releases[int(release[1:])].runs if release else False


Step = tuple[str, State]


def steps(state: State, approval: bool) -> Iterator[Step]:
    """Return every state that may follow, with the name of the step."""
    for number, one in enumerate(state.releases):
        if one.runs:
            for label, after in own_steps(state, number, one, approval):
                yield f"{name(number)} {label}", after
            if state.deaths and one.at != "ended":
                yield f"{name(number)} dies", put(state, number, one._replace(runs=False), deaths=state.deaths - 1)
        elif one.at != "ended":
            # its failed execution's event, or the reconciler, starts the recovery
            yield (
                f"{name(number)} is recovered",
                put(state, number, one._replace(runs=True, at="recovering", seen=None)),
            )


def put(state: State, number: int, one: One, **more: object) -> State:
    releases = (*state.releases[:number], one, *state.releases[number + 1 :])
    return state._replace(releases=releases, **more)  # type: ignore[arg-type]  # fields of State


def own_steps(state: State, number: int, one: One, approval: bool) -> Iterator[Step]:
    steps_of: dict[str, Callable[[State, int, One, bool], Iterator[Step]]] = {
        "validated": announce,
        "announced": read,
        "deciding": decide,
        "holding": renew,
        "renewed": act,
        "approving": wait_for_approval,
        "acted": finish,
        "recovering": recover,
        "deciding_hold": decide_hold,
        "told": give_back,
    }
    if one.at in steps_of:
        yield from steps_of[one.at](state, number, one, approval)


def announce(state: State, number: int, one: One, _approval: bool) -> Iterator[Step]:
    newest = max(state.lease.newest, order(number))
    yield "announces", put(state, number, one._replace(at="announced"), lease=replace(state.lease, newest=newest))


def read(state: State, number: int, one: One, _approval: bool) -> Iterator[Step]:
    after = put(state, number, one._replace(at="deciding", seen=state.lease))
    older = leases.supersedes(state.lease, order(number))
    if older:
        place = int(older[1:])
        waiting = after.releases[place]
        if waiting.at == "approving" and waiting.runs:
            after = put(after, place, waiting._replace(at="told", outcome="superseded"))
        after = after._replace(lease=replace(after.lease, approving="", approving_order=""))
    yield "reads the lease", after


def decide(state: State, number: int, one: One, _approval: bool) -> Iterator[Step]:
    seen = one.seen or Lease()
    for now in (EARLY, LATE):
        owner_runs = leases.must_ask_for_owner(seen, name(number), now) and runs(state, seen.owner)
        match leases.decide(seen, name(number), order(number), now, owner_running=owner_runs):
            case "superseded":
                yield "is superseded", put(state, number, one._replace(at="told", seen=None, outcome="superseded"))
            case "keep":
                yield "keeps", put(state, number, one._replace(at="holding", seen=None, fence=seen.fence))
            case "acquire":
                yield "acquires", acquired(state, number, one, seen, "holding", "announced")
            case "wait":
                yield "waits", put(state, number, one._replace(at="announced", seen=None))


def acquired(state: State, number: int, one: One, seen: Lease, then: str, otherwise: str) -> State:
    if state.lease.fence != seen.fence:  # the write's condition
        return put(state, number, one._replace(at=otherwise, seen=None))
    fence = seen.fence + 1
    lease = replace(state.lease, owner=name(number), fence=fence, expires=EXPIRES)
    return put(state, number, one._replace(at=then, seen=None, fence=fence), lease=lease)


def holds(state: State, number: int, one: One) -> bool:
    """Say whether renewing succeeds: the condition of the table's write."""
    return state.lease.owner == name(number) and state.lease.fence == one.fence


def renew(state: State, number: int, one: One, _approval: bool) -> Iterator[Step]:
    if holds(state, number, one):
        yield "renews", put(state, number, one._replace(at="renewed"))
    else:
        yield "lost the lease", put(state, number, one._replace(at="recovering", seen=None))


def act(state: State, number: int, one: One, approval: bool) -> Iterator[Step]:
    """Change the endpoint: SageMaker knows no fence, so nobody else may hold it between the renewal and this."""
    if approval and not one.approved:
        lease = replace(state.lease, owner="", approving=name(number), approving_order=order(number))
        yield "asks for approval", put(state, number, one._replace(at="approving"), lease=lease)
        return
    yield "acts", put(state, number, one._replace(at="acted", outcome="live"), last=(one.fence, number))


def wait_for_approval(state: State, number: int, one: One, _approval: bool) -> Iterator[Step]:
    yield "is approved", put(state, number, one._replace(at="announced", approved=True))
    yield "is denied", put(state, number, one._replace(at="told", outcome="aborted"))


def finish(state: State, number: int, one: One, _approval: bool) -> Iterator[Step]:
    yield "tells", put(state, number, one._replace(at="told"))


def recover(state: State, number: int, one: One, _approval: bool) -> Iterator[Step]:
    yield "reads the lease", put(state, number, one._replace(at="deciding_hold", seen=state.lease))


def decide_hold(state: State, number: int, one: One, _approval: bool) -> Iterator[Step]:
    seen = one.seen or Lease()
    outcome = one.outcome or "failed"
    for now in (EARLY, LATE):
        owner_runs = leases.must_ask_for_owner(seen, name(number), now) and runs(state, seen.owner)
        match leases.decide_hold(seen, name(number), now, owner_running=owner_runs):
            case "acquire":
                yield "holds", acquired(state, number, one._replace(outcome=outcome), seen, "told", "recovering")
            case "keep":
                yield "holds", put(state, number, one._replace(at="told", seen=None, fence=seen.fence, outcome=outcome))
            case "wait":
                yield "keeps its hands off", put(state, number, one._replace(at="told", seen=None, outcome=outcome))


def give_back(state: State, number: int, one: One, _approval: bool) -> Iterator[Step]:
    ended = one._replace(at="ended", runs=False)
    lease = replace(state.lease, owner="", expires=0) if state.lease.owner == name(number) else state.lease
    yield "gives the lease back", put(state, number, ended, lease=lease)


def explore(count: int, *, approval: bool, deaths: int) -> dict[State, list[State]]:
    """Visit every state that can be reached; which states follow each."""
    start = State(Lease(), tuple(One() for _ in range(count)), deaths=deaths)
    graph: dict[State, list[State]] = {}
    todo = [start]
    while todo:
        state = todo.pop()
        if state in graph:
            continue
        after = []
        for label, found in steps(state, approval):
            check(state, label, found)
            after.append(found)
        graph[state] = after
        todo += after
    return graph


def check(before: State, label: str, after: State) -> None:
    """What must hold of every step."""
    assert after.lease.fence >= before.lease.fence, f"{label}: the fence went back"
    if after.last != before.last:
        fence, number = after.last
        assert fence == after.lease.fence, f"{label}: acted on an old fence"
        assert fence > before.last[0] or number == before.last[1], f"{label}: two act under one fence"
    for number, one in enumerate(after.releases):
        if one.outcome == "superseded":
            assert after.lease.newest > order(number), f"{label}: superseded by nothing newer that was validated"
    holding = [n for n, one in enumerate(after.releases) if one.at == "holding" and one.runs and holds(after, n, one)]
    assert len(holding) <= 1, f"{label}: {holding} hold the lease"


@pytest.mark.parametrize(("count", "approval", "deaths"), [(2, False, 2), (2, True, 1), (3, False, 1), (3, True, 0)])
def test_no_order_of_steps_breaks_the_lease_and_every_release_can_end(count: int, approval: bool, deaths: int) -> None:
    graph = explore(count, approval=approval, deaths=deaths)
    ended = {state for state in graph if all(one.at == "ended" for one in state.releases)}
    assert ended
    for state in ended:
        assert not state.lease.owner, "the lease is left with a release that has ended"
    # from everywhere the end can be reached: nothing is stranded
    before: dict[State, list[State]] = {}
    for state, after in graph.items():
        for one in after:
            before.setdefault(one, []).append(state)
    reached, todo = set(ended), list(ended)
    while todo:
        for one in before.get(todo.pop(), ()):
            if one not in reached:
                reached.add(one)
                todo.append(one)
    stranded = [state for state in graph if state not in reached]
    assert not stranded, f"{len(stranded)} of {len(graph)} states have no way to the end: {stranded[0]}"


def test_a_newer_release_that_nothing_goes_wrong_with_is_never_superseded() -> None:
    for state in explore(3, approval=False, deaths=0):
        assert state.releases[-1].outcome in ("", "live")


def test_the_exploration_finds_a_lease_that_is_taken_from_a_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "must_ask_for_owner", lambda *_: False)
    with pytest.raises(AssertionError, match="old fence"):
        explore(2, approval=False, deaths=0)


def test_the_exploration_finds_a_recovery_that_takes_what_another_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "decide_hold", lambda *_, **__: "acquire")
    with pytest.raises(AssertionError, match="old fence"):
        explore(2, approval=False, deaths=1)


def test_the_exploration_finds_an_order_that_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    rightly = leases.decide

    def wrong(lease: Lease, release: str, order: str, now: int, *, owner_running: bool) -> leases.Decision:
        return rightly(replace(lease, newest="9"), release, order, now, owner_running=owner_running)

    monkeypatch.setattr(leases, "decide", wrong)
    with pytest.raises(AssertionError, match="superseded by nothing newer"):
        explore(2, approval=False, deaths=0)
