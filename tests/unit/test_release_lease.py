"""The lease: every schedule of a small pure model, searched exhaustively."""

from __future__ import annotations

from dataclasses import dataclass, replace

from modeldrop.release.lease import LEASE_SECONDS, MAX_WAIT_SECONDS, Lease, decide, must_ask_for_owner, wait_seconds


def test_a_free_lease_is_acquired() -> None:
    assert decide(Lease(newest="1"), "a", "1", 0, owner_running=False) == "acquire"


def test_the_owner_keeps_what_it_has_even_when_a_newer_release_waits() -> None:
    assert decide(Lease(owner="a", newest="9", expires=10), "a", "1", 99, owner_running=True) == "keep"


def test_an_older_waiting_release_is_superseded() -> None:
    assert decide(Lease(owner="x", newest="2", expires=10), "a", "1", 0, owner_running=True) == "superseded"


def test_a_slow_owner_that_still_runs_is_not_robbed() -> None:
    lease = Lease(owner="x", newest="1", expires=10)
    assert must_ask_for_owner(lease, "a", 11)
    assert decide(lease, "a", "1", 11, owner_running=True) == "wait"


def test_a_dead_owner_s_lease_is_taken_over_only_after_it_expired() -> None:
    lease = Lease(owner="x", newest="1", expires=10)
    assert decide(lease, "a", "1", 9, owner_running=False) == "wait"
    assert decide(lease, "a", "1", 10, owner_running=False) == "acquire"


def test_asks_stay_bounded_over_the_longest_wait() -> None:
    waited, asks = 0, 0
    while waited < MAX_WAIT_SECONDS:
        waited, asks = waited + wait_seconds(waited), asks + 1
    assert asks <= 160


@dataclass(frozen=True)
class World:
    """Two releases and a clock; each release is waiting, acting with a fence, dead, or done."""

    now: int
    lease: Lease
    waiting: tuple[str, ...]
    acting: tuple[tuple[str, int], ...]
    dead: tuple[str, ...]
    highest_fence_acted: int


def successors(world: World) -> list[World]:
    after = []
    for name in world.waiting:
        running = world.lease.owner not in world.dead
        if decide(world.lease, name, name, world.now, owner_running=running) == "acquire":
            fence = world.lease.fence + 1
            lease = replace(world.lease, owner=name, fence=fence, expires=world.now + LEASE_SECONDS)
            rest = tuple(one for one in world.waiting if one != name)
            after.append(replace(world, lease=lease, waiting=rest, acting=(*world.acting, (name, fence))))
    for name, fence in world.acting:
        others = tuple(one for one in world.acting if one[0] != name)
        if fence == world.lease.fence:  # the conditional write that every acting step makes first
            assert fence >= world.highest_fence_acted, "an old owner acted after a newer one"
            after.append(replace(world, highest_fence_acted=fence))
        after.append(replace(world, acting=others, dead=(*world.dead, name)))
        free = replace(world.lease, owner="") if world.lease.owner == name else world.lease
        after.append(replace(world, acting=others, lease=free))
    if world.now < 3 * LEASE_SECONDS:
        after.append(replace(world, now=world.now + LEASE_SECONDS))
    return after


def test_no_schedule_lets_two_owners_act() -> None:
    start = World(0, Lease(newest="a"), ("a", "b", "c"), (), (), 0)
    seen, frontier = {start}, [start]
    while frontier:
        world = frontier.pop()
        holders = [name for name, fence in world.acting if fence == world.lease.fence]
        assert len(holders) <= 1
        for after in successors(world):
            if after not in seen:
                seen.add(after)
                frontier.append(after)
    assert len(seen) > 100
