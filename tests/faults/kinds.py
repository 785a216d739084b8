"""What may go wrong at one call: each kind is a function that stands between a function of ours and the service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from botocore.exceptions import ReadTimeoutError

from tests.faults.machine import Json
from tests.faults.world import Call, Invocation, KilledError, World, client_error

LASTING_SECONDS = {"denied": 3600.0, "forbidden": 3600.0, "outage": 300.0}
EXIT, TIMED_OUT = "Runtime.ExitError", "Sandbox.Timedout"
Answer = Callable[[], Json]
Kind = Callable[[World, Call, Invocation, Answer], Json]


@dataclass(frozen=True)
class Fault:
    """One fault: its kind, and the call that it meets."""

    kind: str
    function: str
    visit: int
    place: int

    def meets(self, call: Call) -> bool:
        return (call.function, call.visit, call.place) == (self.function, self.visit, self.place)

    def __str__(self) -> str:
        return f"{self.kind} at {self.function}[{self.visit}.{self.place}]"


@dataclass
class Injector:
    """Put faults into a world's calls.

    A fault that lasts meets every later call of the operation: of one function (denied), or of all (outage, forbidden).
    """

    world: World
    faults: Sequence[Fault]
    met: list[str] = field(default_factory=list)
    _lasting: dict[tuple[str, str, str], tuple[float, str]] = field(default_factory=dict)
    _done: set[Fault] = field(default_factory=set)

    def __call__(self, call: Call, running: Invocation, answer: Answer) -> Json:
        for function in (call.function, ""):
            until, kind = self._lasting.get((function, call.service, call.operation), (0.0, ""))
            if self.world.now < until:
                raise trouble(call) if kind == "outage" else refusal(call)
        for fault in self.faults:
            if fault not in self._done and fault.meets(call):
                self._done.add(fault)
                self.met.append(f"{fault.kind} at {call}")
                if fault.kind in LASTING_SECONDS:
                    function = call.function if fault.kind == "denied" else ""
                    until = self.world.now + LASTING_SECONDS[fault.kind]
                    self._lasting[function, call.service, call.operation] = (until, fault.kind)
                return KINDS[fault.kind](self.world, call, running, answer)
        return answer()


def throttled(_world: World, call: Call, _running: Invocation, _answer: Answer) -> Json:
    """AWS asks to come later, once (the SDK's own retries are used up)."""
    codes = {"s3": ("SlowDown", 503), "dynamodb": ("ProvisionedThroughputExceededException", 400)}
    code, status = codes.get(call.service, ("ThrottlingException", 400))
    raise client_error(code, "Rate exceeded", call.operation, status)


def trouble(call: Call) -> Exception:
    """Return AWS's own failure."""
    code = "InternalServerError" if call.service == "dynamodb" else "InternalFailure"
    return client_error(code, "We encountered an internal error.", call.operation, 500)


def refusal(call: Call) -> Exception:
    """Return what a role without the right is told."""
    code = "AccessDenied" if call.service in ("s3", "cloudwatch") else "AccessDeniedException"
    return client_error(code, f"not authorized to perform: {call.service}:{call.operation}", call.operation, 403)


def server_error(_world: World, call: Call, _running: Invocation, _answer: Answer) -> Json:
    """AWS fails once, and nothing was done."""
    raise trouble(call)


def failing_container(_world: World, call: Call, _running: Invocation, _answer: Answer) -> Json:
    """The model's container fails one request, as a cold one may."""
    error = client_error("ModelError", "Received server error (503) from primary", call.operation, 424)
    error.response.update({"OriginalStatusCode": 503, "OriginalMessage": "not there yet"})  # type: ignore[misc]  # ModelError's own members
    raise error


def lost(_world: World, call: Call, _running: Invocation, answer: Answer) -> Json:
    """It was done, and the answer did not come back."""
    answer()
    raise ReadTimeoutError(endpoint_url=call.service)


def lost_retried(_world: World, _call: Call, _running: Invocation, answer: Answer) -> Json:
    """It was done, the answer was lost, and the SDK asked again."""
    answer()
    return answer()


def killed_before(_world: World, _call: Call, running: Invocation, _answer: Answer) -> Json:
    """The function dies before the call."""
    running.dead = EXIT
    raise KilledError


def killed_after(_world: World, _call: Call, running: Invocation, answer: Answer) -> Json:
    """The function dies with the call done."""
    answer()
    running.dead = EXIT
    raise KilledError


def hung(world: World, call: Call, running: Invocation, _answer: Answer) -> Json:
    """The function stands still until Lambda ends it."""
    world.run(world.timeout_of(call.function))
    running.dead = TIMED_OUT
    raise KilledError


def stopped(_world: World, _call: Call, running: Invocation, answer: Answer) -> Json:
    """Somebody stops the execution; the function goes on beside its recovery."""
    assert running.execution is not None
    running.execution.stop("ABORTED", "Stopped", "by the story")
    return answer()


def stopped_unseen(world: World, call: Call, running: Invocation, answer: Answer) -> Json:
    """The execution is stopped, and the event of it is lost."""
    world.hears_failures = False
    try:
        return stopped(world, call, running, answer)
    finally:
        world.hears_failures = True


def zombie(world: World, call: Call, running: Invocation, answer: Answer) -> Json:
    """The execution is stopped, and the function goes on only when its recovery has ended (or it is timed out)."""
    assert running.execution is not None
    running.execution.stop("ABORTED", "Stopped", "by the story")
    known, until = set(world.executions), world.now + world.timeout_of(call.function)

    def recovered() -> bool:
        fresh = [one for name, one in world.executions.items() if name not in known]
        return bool(fresh) and all(one.status != "RUNNING" for one in fresh)

    world.run(2.0)
    if not world.timeline.run_until(recovered, until):
        running.dead = TIMED_OUT
        raise KilledError
    return answer()


def doubled(world: World, call: Call, running: Invocation, answer: Answer) -> Json:
    """The answer of the invocation is lost; the function stands still, and goes on once its retry has answered."""
    assert running.execution is not None
    visits = world.visits[call.function]
    if running.execution.unheard():
        world.run(world.timeout_of(call.function) - 1, lambda: world.visits[call.function] > visits)
    return answer()


def denied(_world: World, call: Call, _running: Invocation, _answer: Answer) -> Json:
    """The function's role lacks the right, for an hour."""
    raise refusal(call)


def outage(_world: World, call: Call, _running: Invocation, _answer: Answer) -> Json:
    """AWS fails every such call, of every function, for five minutes."""
    raise trouble(call)


def forbidden(_world: World, call: Call, _running: Invocation, _answer: Answer) -> Json:
    """An organisation's policy forbids the operation to every function, for an hour."""
    raise refusal(call)


def beside(world: World, _call: Call, _running: Invocation, answer: Answer) -> Json:
    """The reconciler runs at this moment."""
    world.reconcile()
    return answer()


def again(world: World, _call: Call, _running: Invocation, answer: Answer) -> Json:
    """Every upload's event is delivered again at this moment, the newest first."""
    for upload in reversed(world.uploads):
        world.tell_of(upload)
    return answer()


KINDS: dict[str, Kind] = {
    one.__name__: one
    for one in (
        throttled,
        server_error,
        failing_container,
        lost,
        lost_retried,
        denied,
        forbidden,
        outage,
        killed_before,
        killed_after,
        hung,
        stopped,
        stopped_unseen,
        zombie,
        doubled,
        beside,
        again,
    )
}
# one such fault passes by itself: it must not cost a good release
PASSING = frozenset(
    {
        "throttled",
        "server_error",
        "failing_container",
        "lost",
        "lost_retried",
        "killed_before",
        "killed_after",
        "hung",
        "doubled",
        "beside",
        "again",
    }
)
# kinds that need an execution to stop, and those that only a function can meet
NEEDS_EXECUTION = frozenset({"stopped", "stopped_unseen", "zombie", "doubled"})
OF_A_FUNCTION = frozenset({"killed_before", "killed_after", "hung", "zombie", "doubled"})
# a call that changes nothing: lost is as good as failed, and what comes beside it may as well come a call later
READS = ("Describe", "Get", "Head", "List", "Query", "Filter")
AT_READS = frozenset({"server_error", "denied", "killed_before"})


def applies(kind: str, call: Call, *, functions: frozenset[str], first: bool, last: bool) -> bool:
    """Say whether a kind is tried at a call; first, last: of its function's invocation."""
    if kind == "failing_container":
        return call.operation == "InvokeEndpoint"
    if call.function not in functions and kind in OF_A_FUNCTION:
        return False
    if call.function in ("AdmitFunction", "ReconcileFunction") and kind in NEEDS_EXECUTION:
        return False
    if kind == "killed_after":
        return last  # else it is the death before the next call
    return kind in AT_READS or first or not call.operation.startswith(READS)
