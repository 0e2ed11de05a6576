"""What agents ask for: to join, to be taken for alive, to leave. Pure."""

from dataclasses import replace

from gmeta_api.exit_codes import ExitCode
from gmeta_worker.coordination.membership import BROKEN_SECONDS, End, Membership, Rules, Waiter, heard_rank, out, over
from gmeta_worker.coordination.messages import Beat, Join, Leave, Orders, Refusal

_NO_FAILURE = frozenset({ExitCode.OK, ExitCode.INTERRUPTED, ExitCode.COORDINATION})
"""Exit codes that say nothing of their own cause: done, asked to stop, lost the others or was fenced."""


def join(membership: Membership, message: Join, rules: Rules, now: float) -> Membership | Refusal:
    """An agent asks for a round."""
    if refusal := _inadmissible(membership, message, rules):
        return refusal
    if place_given(membership, message) is not None:
        return membership
    after = _replace_former(membership, message, now)
    if message.worker in after.present and message.after == after.generation:
        after = out(over(after, _told(after, message, now)), message.worker, now)
    newcomer = message.worker not in after.waiting or after.waiting[message.worker].join.process != message.process
    waiting = {**after.waiting, message.worker: Waiter(message, now)}
    return replace(after, waiting=waiting, changed=now if newcomer else after.changed)


def place_given(membership: Membership, message: Join) -> int | None:
    """The sender's place in the current round, if it does not know of it yet: the reply was lost."""
    place = membership.place_of(message.process)
    known = message.after == membership.generation
    return None if known or message.worker not in membership.present else place


def beat(membership: Membership, message: Beat, now: float) -> tuple[Membership, Orders | Refusal]:
    """An agent or a rank is alive; what it has to do."""
    if message.process in membership.replaced:
        return membership, _replaced_refusal(message.process)
    place = membership.place_of(message.process)
    if message.generation != membership.generation or place is None:
        reason = f"generation {message.generation} is over, generation {membership.generation} is current"
        return membership, Orders(rejoin=True, grace=BROKEN_SECONDS, message=reason)
    worker = membership.members[place].worker
    if worker not in membership.present:
        return membership, _orders(membership.end or End("silent", "this worker was taken for dead", now))
    heard = _heard(membership, worker, message.rank, now)
    return heard, _orders(heard.end) if heard.end else Orders(rejoin=False)


def leave(membership: Membership, message: Leave, now: float) -> Membership:
    """An agent is gone for good."""
    waiting = {worker: each for worker, each in membership.waiting.items() if each.join.process != message.process}
    after = replace(membership, waiting=waiting)
    place = membership.place_of(message.process)
    if place is None or membership.members[place].worker not in membership.present:
        return after
    worker = membership.members[place].worker
    why = f": {message.message}" if message.message else ""
    return out(over(after, End("left", f"worker {worker} has left{why}", now)), worker, now)


def _inadmissible(membership: Membership, message: Join, rules: Rules) -> Refusal | None:
    if message.process in membership.replaced:
        return _replaced_refusal(message.process)
    if message.worker >= rules.max_replicas:
        return Refusal(
            reason="invalid",
            message=f"worker {message.worker} cannot join: the job has at most {rules.max_replicas} workers, numbered "
            "from 0; raise spec.workers.maxReplicas",
        )
    return None


def _replaced_refusal(process: str) -> Refusal:
    return Refusal(
        reason="fenced", message=f"process {process} has been replaced by a newer one of its worker; it must stop"
    )


def _replace_former(membership: Membership, message: Join, now: float) -> Membership:
    """One process a worker: whoever held the sender's place is refused from now on."""
    holders = {member.process for member in membership.members if member.worker == message.worker}
    if message.worker in membership.waiting:
        holders.add(membership.waiting[message.worker].join.process)
    former = holders - {message.process}
    after = replace(membership, replaced=membership.replaced | former)
    if not former or message.worker not in membership.present or message.process in holders:
        return after
    why = End("replaced", f"worker {message.worker} was started again", now)
    return out(over(after, why), message.worker, now)


def _told(membership: Membership, message: Join, now: float) -> End:
    """What an agent that joins again tells about the end of the round."""
    failed = [each for each in message.ended if each.exit_code not in _NO_FAILURE]
    if failed:
        reason = f"rank {failed[0].rank} (worker {message.worker}) ended with exit code {failed[0].exit_code}"
        return End("failed", reason, now, failed[0].exit_code)
    if any(each.exit_code == ExitCode.INTERRUPTED for each in message.ended):
        return End("interrupted", f"the ranks of worker {message.worker} were asked to stop", now)
    if membership.end is not None:
        return membership.end
    return End("unreachable", f"worker {message.worker} has lost the others", now)


def _orders(end: End) -> Orders:
    return Orders(rejoin=True, grace=end.grace, message=end.reason)


def _heard(membership: Membership, worker: int, rank: int | None, now: float) -> Membership:
    if rank is not None:
        return heard_rank(membership, rank, now)
    return replace(membership, present={**membership.present, worker: now})
