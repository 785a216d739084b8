"""The `#lease` row of an endpoint: who may change it, who wants it next, and which release waits for approval."""

from __future__ import annotations

from collections.abc import Callable

from modeldrop.aws.rows import NOT_ENDED, Rows, number, text
from modeldrop.release import lease as leases
from modeldrop.release.lease import LEASE_SECONDS, Lease

LEASE = "#lease"


class Leases(Rows):
    """The lease of each endpoint; every write is conditional on what the decision was made from."""

    def lease(self, endpoint: str) -> Lease:
        """Read the lease, consistently."""
        item = self._item(endpoint, LEASE)
        return Lease(
            owner=item.get("owner", {}).get("S", ""),
            execution_arn=item.get("execution_arn", {}).get("S", ""),
            fence=int(item.get("fence", {}).get("N", 0)),
            expires=int(item.get("expires", {}).get("N", 0)),
            newest=item.get("newest", {}).get("S", ""),
            approving=item.get("approving", {}).get("S", ""),
            approving_order=item.get("approving_order", {}).get("S", ""),
        )

    def announce(self, endpoint: str, order: str) -> None:
        """Tell the lease that a validated release of this order wants the endpoint; older waiting ones read it."""
        condition = "attribute_not_exists(newest) OR newest < :order"
        self._update(endpoint, LEASE, "SET newest = :order", condition, {}, {":order": text(order)})

    def acquire(self, endpoint: str, release: str, execution_arn: str, seen: Lease, now: int) -> int | None:
        """Take the lease that was read as `seen`; the new fence, or None when somebody was quicker."""
        values = {
            ":me": text(release),
            ":arn": text(execution_arn),
            ":expires": number(now + LEASE_SECONDS),
            ":one": number(1),
            ":fence": number(seen.fence),
            ":seen": number(seen.expires),
        }
        # the owner's recovery keeps the fence and moves the end: it must not be robbed after it was thought dead
        unchanged = "attribute_not_exists(#owner) OR expires = :seen"
        condition = f"attribute_not_exists(fence) OR (fence = :fence AND ({unchanged}))"
        update = "SET #owner = :me, execution_arn = :arn, expires = :expires ADD fence :one"
        taken = self._update(endpoint, LEASE, update, condition, {"#owner": "owner"}, values)
        return seen.fence + 1 if taken else None

    def hold(
        self,
        endpoint: str,
        release: str,
        fence: int,
        execution_arn: str,
        now: int,
        owner_runs: Callable[[str], bool],
    ) -> int | None:
        """Hold the endpoint's lease to end a release: the fence that is held, or None when it is another's.

        fence: what the record carries; a lease of ours that carries a greater one is ours too, since the record may
        have missed it. The lease then names this execution, so that a recovery that runs is not raced. now: seconds
        since 1970. owner_runs: says whether an execution runs; it is asked only where an expired lease has an owner.
        """
        if self._keep(endpoint, release, fence, execution_arn, now):
            return fence
        lease = self.lease(endpoint)
        running = leases.must_ask_for_owner(lease, release, now) and owner_runs(lease.execution_arn)
        match leases.decide_hold(lease, release, now, owner_running=running):
            case "keep":
                return lease.fence if self._keep(endpoint, release, lease.fence, execution_arn, now) else None
            case "acquire":
                return self.acquire(endpoint, release, execution_arn, lease, now)
            case "wait":
                return None

    def _keep(self, endpoint: str, release: str, fence: int, execution_arn: str, now: int) -> bool:
        values = {":me": text(release), ":fence": number(fence), ":arn": text(execution_arn)}
        values[":expires"] = number(now + LEASE_SECONDS)
        update, condition = "SET execution_arn = :arn, expires = :expires", "#owner = :me AND fence = :fence"
        return self._update(endpoint, LEASE, update, condition, {"#owner": "owner"}, values)

    def renew(self, endpoint: str, fence: int, now: int) -> bool:
        """Extend the lease; False when it is no longer ours. A fence belongs to one owner, which may give it back."""
        condition, names = "fence = :fence AND attribute_exists(#owner)", {"#owner": "owner"}
        values = {":expires": number(now + LEASE_SECONDS), ":fence": number(fence)}
        return self._update(endpoint, LEASE, "SET expires = :expires", condition, names, values)

    def release_lease(self, endpoint: str, release: str, fence: int) -> bool:
        """Give the lease back that was held under this fence; False when it is not ours, or was taken again since."""
        update, names = "REMOVE #owner, execution_arn, expires", {"#owner": "owner"}
        values = {":me": text(release), ":fence": number(fence)}
        return self._update(endpoint, LEASE, update, "#owner = :me AND fence = :fence", names, values)

    def wait_for_token(self, endpoint: str, release: str, token: str, attempt: int) -> bool:
        """Keep the token that an approval is sent with; False when the release ended, or a later attempt has its own.

        attempt: how often Step Functions tried the state before. Each try has a token, and only the last one's is
        waited for.
        """
        condition = f"{NOT_ENDED} AND (attribute_not_exists(approval_attempt) OR approval_attempt <= :attempt)"
        update = "SET approval_token = :token, approval_attempt = :attempt, #phase = :phase"
        values = {":token": text(token), ":attempt": number(attempt), ":phase": text("approving")}
        return self._update(endpoint, release, update, condition, {"#outcome": "outcome", "#phase": "phase"}, values)

    def note_approval(self, endpoint: str, release: str, order: str) -> None:
        """Note that a release waits for approval without the lease; a newer one that waits keeps its note."""
        values = {":release": text(release), ":order": text(order)}
        update = "SET approving = :release, approving_order = :order"
        condition = "attribute_not_exists(approving_order) OR approving_order < :order"
        self._update(endpoint, LEASE, update, condition, {}, values)

    def forget_approval(self, endpoint: str, release: str) -> None:
        """Note that a release waits for approval no longer."""
        update, values = "REMOVE approving, approving_order", {":release": text(release)}
        self._update(endpoint, LEASE, update, "approving = :release", {}, values)

    def approval_token(self, endpoint: str, release: str) -> str | None:
        """Return the callback token of a release that waits for approval."""
        token: str | None = self._item(endpoint, release, "approval_token").get("approval_token", {}).get("S")
        return token
