"""Play every story with every single fault, and seeded pairs of them: `python -m tests.faults.matrix` (make faults).

The calls are not listed anywhere: a story is played once without a fault, and what its functions called is what the
faults are put at. Of a function that a story invokes often (a look, a wait) the first, a middle and the last
invocation are taken.
"""

from __future__ import annotations

import argparse
import gc
import os
import pickle
import random
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from scripts.results import record
from tests.faults.invariants import Watch, failed_executions, in_the_end
from tests.faults.kinds import KINDS, PASSING, Fault, Injector, applies
from tests.faults.stories import SCALING, STORIES, Play, Story, policy
from tests.faults.world import Call, resources, world

# after the last outcome: time for the closing runs, which come 20 to 35 minutes after it, and their retries
REST_SECONDS, LATER_REST_SECONDS = 3 * 3600, 3600
PAIRS, SEED = 2000, 20261126
# a fork that takes longer has run into a loop
STUCK_SECONDS, SHOWN = 120, 12


@dataclass(frozen=True)
class Result:
    """What became of one story with its faults."""

    story: str
    faults: tuple[Fault, ...]
    violations: tuple[str, ...]
    calls: tuple[Call, ...] = ()
    met: tuple[str, ...] = ()
    states: tuple[str, ...] = field(default=(), compare=False)


@contextmanager
def prepared(story: Story, *, checks_requests: bool = True) -> Iterator[Play]:
    """Make an account as it is when the story begins."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with world(checks_requests=checks_requests) as own:
            told = Play(own)
            story.before(told)
            yield told


def play(story: Story, faults: Sequence[Fault] = (), *, later: bool = True) -> Result:
    """Play one story with faults; what was violated."""
    with prepared(story) as told:
        return go_on(story, told, tuple(faults), later=later)


def go_on(story: Story, told: Play, faults: tuple[Fault, ...], *, later: bool = True) -> Result:
    """Play a story from its beginning to long after its end; later: and drop a good model once more."""
    own = told.world
    watch, injector = Watch(told), Injector(own, faults)
    own.watchers.append(watch)
    own.visits.clear()
    own.calls.clear()
    own.meets = injector
    story.happens(told)
    told.end()
    own.run(REST_SECONDS)
    calls = tuple(own.calls)
    own.meets = None
    passing = len(faults) <= 1 and all(fault.kind in PASSING for fault in faults)
    # before the later drop, which would mend what was left wrong
    found = list(in_the_end(story, told, passing=passing, at_most=1 + len(faults)))
    if later:
        own.hears_uploads = True
        quick = policy(strategy="all_at_once", final_bake="3m", scaling=SCALING if story.scaling else "")
        release = told.drop("good", 9, "promoted", "created", text=quick)
        told.wait_for(lambda: told.has_ended(release), 4 * 3600)
        own.run(LATER_REST_SECONDS)
        record = told.record(release)
        if record is None or record.outcome not in told.expected[release]:
            why = (
                "no record"
                if record is None
                else f"{record.outcome or record.phase}: {'; '.join(record.reasons)[:300]}"
            )
            found.append(f"a later drop works: {release} is {why}")
        found += in_the_end(story, told, passing=passing, at_most=1 + len(faults))
    if faults and not story.kills and all(fault.kind == "doubled" for fault in faults):
        found += failed_executions(told)
    found += watch.found
    states = tuple(f"{one.name}: {one.status} {' '.join(one.log)}" for one in own.executions.values())
    return Result(story.name, faults, tuple(dict.fromkeys(found)), calls, tuple(injector.met), states)


def functions() -> frozenset[str]:
    """Return the logical ids of the functions."""
    return frozenset(name for name, one in resources().items() if one["Type"] == "AWS::Serverless::Function")


def taken(calls: Iterable[Call]) -> dict[tuple[str, int], list[Call]]:
    """Return the calls that faults are put at, by invocation: of many invocations the ones that tell something."""
    visits: dict[str, dict[int, list[Call]]] = {}
    for call in calls:
        visits.setdefault(call.function, {}).setdefault(call.visit, []).append(call)
    found = {}
    for name, made in visits.items():
        order = list(made)
        for visit in dict.fromkeys((order[0], order[len(order) // 2], order[-1])):
            found[name, visit] = made[visit]
    return found


def single_faults(story: Story) -> list[Fault]:
    """Return every single fault of a story."""
    own = functions()
    return [
        Fault(kind, call.function, call.visit, call.place)
        for made in taken(play(story, later=False).calls).values()
        for call in made
        for kind in KINDS
        if applies(kind, call, functions=own, first=call is made[0], last=call is made[-1])
    ]


Job = tuple[str, tuple[Fault, ...]]
CHUNK = 40


def chunk(name: str, many: Sequence[tuple[Fault, ...]]) -> list[Result]:
    """Play one story with each of many faults: it is prepared once, and every fault goes on in a fork of it."""
    results = []
    with prepared(STORIES[name], checks_requests=False) as told:
        # a fork ends before there is anything to collect
        gc.collect()
        gc.freeze()
        gc.disable()
        for faults in many:
            reader, writer = os.pipe()
            child = os.fork()
            if not child:
                os.close(reader)
                with os.fdopen(writer, "wb") as pipe:
                    pickle.dump(_in_a_fork(name, told, faults), pipe)
                os._exit(0)
            os.close(writer)
            with os.fdopen(reader, "rb") as pipe:
                body = pipe.read()
            os.waitpid(child, 0)
            broken = Result(name, faults, ("the matrix itself broke: no result",))
            results.append(pickle.loads(body) if body else broken)
    return results


def _in_a_fork(name: str, told: Play, faults: tuple[Fault, ...]) -> Result:
    signal.alarm(STUCK_SECONDS)
    try:
        return replace(go_on(STORIES[name], told, faults), calls=(), states=())
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return Result(name, faults, (f"the matrix itself broke: {type(error).__name__}: {error} ({where.name})",))


def run(jobs: Sequence[Job], workers: int, *, quiet: bool = False) -> list[Result]:
    """Play many, side by side, with progress."""
    results: list[Result] = []
    began, told = time.monotonic(), 0
    by_story: dict[str, list[tuple[Fault, ...]]] = {}
    for name, faults in jobs:
        by_story.setdefault(name, []).append(faults)
    cut = [(name, many[at : at + CHUNK]) for name, many in by_story.items() for at in range(0, len(many), CHUNK)]
    with ProcessPoolExecutor(workers) as pool:
        for future in as_completed([pool.submit(chunk, name, many) for name, many in cut]):
            results += future.result()
            for one in (one for one in future.result() if one.violations and not quiet):
                sys.stderr.write(f"{described(one)}: {one.violations[0][:300]}\n")
            if not quiet and (len(results) - told >= 200 or len(results) == len(jobs)):
                told, bad = len(results), sum(1 for one in results if one.violations)
                sys.stderr.write(f"{told} of {len(jobs)}, {bad} violate, {time.monotonic() - began:.0f} s\n")
    return results


def described(result: Result) -> str:
    """Return a result's story and faults, as --one takes them."""
    return f"{result.story}:{', '.join(f'{f.kind}:{f.function}:{f.visit}:{f.place}' for f in result.faults)}"


def main() -> int:
    """Play what is asked for and print what was violated; exit status 1 if anything was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--story", action="append", choices=sorted(STORIES), help="only this story (may be repeated)")
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="only this kind (may be repeated)")
    parser.add_argument("--function", action="append", help="only at calls of this function (logical id)")
    parser.add_argument("--every", type=int, default=1, help="only every Nth of the single faults")
    parser.add_argument("--first", type=int, default=0, help="where to begin with every Nth")
    parser.add_argument("--pairs", type=int, default=0, help="so many seeded pairs, too")
    parser.add_argument("--seed", type=int, default=SEED, help="of the pairs")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--record", action="store_true", help="keep the counts in docs/results.json")
    parser.add_argument("--one", help="play one fault, e.g. 'promote:lost:StartRolloutFunction:0:4', and tell all")
    given = parser.parse_args()
    if given.one:
        return tell_one(given.one)
    names = given.story or list(STORIES)
    with ProcessPoolExecutor(given.workers) as pool:
        found = dict(zip(names, pool.map(single_faults, [STORIES[name] for name in names]), strict=True))
    singles = [(name, (fault,)) for name in names for fault in found[name]]
    jobs = [one for one in singles if not given.kind or one[1][0].kind in given.kind]
    jobs = [one for one in jobs if not given.function or one[1][0].function in given.function]
    jobs = jobs[given.first :: given.every]
    chance = random.Random(given.seed)
    for _ in range(given.pairs):
        name = chance.choice(names)
        jobs.append((name, tuple(chance.sample(found[name], 2))))
    jobs += [(name, ()) for name in names]
    began = time.monotonic()
    results = run(jobs, given.workers)
    if given.record:
        record("faults", counts(results, given.every, int(time.monotonic() - began)))
    return report(results)


def counts(results: Sequence[Result], every: int, seconds: int) -> dict[str, int]:
    """Return the figures of a run, as they are kept. every: each how many-eth single fault was played."""
    singles = [one for one in results if len(one.faults) == 1]
    pairs = [one for one in results if len(one.faults) == 2]
    return {
        "every": every,
        "singles": len(singles),
        "singles_violate": sum(bool(one.violations) for one in singles),
        "pairs": len(pairs),
        "pairs_violate": sum(bool(one.violations) for one in pairs),
        "seconds": seconds,
    }


def tell_one(text: str) -> int:
    """Play one fault and print everything about it."""
    name, *parts = text.split(":")
    faults = [Fault(parts[0], parts[1], int(parts[2]), int(parts[3]))] if parts else []
    found = play(STORIES[name], faults)
    print("\n".join([*found.met, *found.states, *found.violations]))
    return 1 if found.violations else 0


def report(results: Sequence[Result]) -> int:
    """Print the counts and what was violated, by rule."""
    bad = [one for one in results if one.violations]
    singles = [one for one in results if len(one.faults) == 1]
    pairs = [one for one in results if len(one.faults) == 2]
    for rule, count in Counter(line.partition(":")[0] for one in bad for line in one.violations).most_common():
        print(f"{count:6d}  {rule}")
        shown = [(one, line) for one in bad for line in one.violations if line.startswith(rule)][:SHOWN]
        for one, line in shown:
            where = ", ".join(f"{f.kind}:{f.function}:{f.visit}:{f.place}" for f in one.faults)
            met = "; ".join(one.met)
            print(f"          {one.story}:{where} ({met.partition(' at ')[2]}) {line.partition(':')[2][:240]}")
    print(
        f"{len(singles)} single faults, {sum(bool(one.violations) for one in singles)} violate; "
        f"{len(pairs)} pairs, {sum(bool(one.violations) for one in pairs)} violate; {len(STORIES)} stories"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
