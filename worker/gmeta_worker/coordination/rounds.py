"""When a round is over, and when and of whom the next one is formed. Pure.

Time passes only with messages: those who wait ask again twice a second, and that is when this is looked at.
"""

from collections.abc import Collection
from dataclasses import replace

from gmeta_worker.coordination.membership import COUNTED, End, Membership, Rules, Waiter, counted, out, over
from gmeta_worker.coordination.messages import CommitRef, Join, Member

WAITING_SECONDS = 5.0
"""An agent that has not asked for so long is not waiting any more."""
FIRST_SETTLE_SECONDS = 30.0
"""How long the first round waits for more workers once there are enough, without a new one coming."""
SETTLE_SECONDS = 5.0
"""The same for later rounds."""
START_SECONDS = 120.0
"""A rank that has never been heard has so long to start."""
OWN_ABSENCE_SECONDS = 2.0
"""Without any message for longer, it was the coordinator that was away, and nobody's silence counts."""


def observe(membership: Membership, rules: Rules, now: float) -> Membership:
    """What has become clear by `now`, before a message is looked at: own absence, silence, newcomers to let in."""
    excused = _excuse(membership, now)
    return _let_in(_silence(excused, rules, now), rules, now)


def form(membership: Membership, rules: Rules, commit: CommitRef | None, now: float) -> Membership | None:
    """The next round, which begins from `commit`, if it can be formed now."""
    chosen = _chosen(membership, rules, now)
    if membership.present or len(chosen) < rules.min_replicas or not _settled(membership, len(chosen), rules, now):
        return None
    members = _ranked(chosen)
    taken = {member.worker for member in members}
    return replace(
        counted(membership),
        generation=membership.generation + 1,
        members=members,
        commit=commit,
        present=dict.fromkeys(sorted(taken), now),
        ranks={},
        formed=now,
        end=None,
        reason=membership.end.reason if membership.end else "",
        waiting={worker: each for worker, each in membership.waiting.items() if worker not in taken},
    )


def too_many_failures(membership: Membership, rules: Rules) -> End | None:
    """The end of the round that was one failure too many, once all have joined again and know better."""
    end = membership.end
    over = end is not None and end.cause in COUNTED and membership.failures >= rules.backoff_limit
    return end if over and not membership.present else None


def missing(membership: Membership, rules: Rules, now: float) -> str:
    """What the next round is waiting for, in words."""
    if membership.present and membership.end is None:
        return f"generation {membership.generation} runs; this worker comes in with the next round"
    if membership.present:
        return f"waiting for {_workers(membership.present)} to join again"
    there = len(_chosen(membership, rules, now))
    wanted = f"at least {rules.min_replicas}" if rules.min_replicas < rules.replicas else str(rules.replicas)
    return f"{there} of {wanted} workers are here"


def _excuse(membership: Membership, now: float) -> Membership:
    gap = now - membership.heard
    if gap <= OWN_ABSENCE_SECONDS:
        return replace(membership, heard=now)
    return replace(
        membership,
        heard=now,
        present={worker: at + gap for worker, at in membership.present.items()},
        ranks={rank: at + gap for rank, at in membership.ranks.items()},
        formed=membership.formed + gap,
        waiting={worker: Waiter(each.join, each.heard + gap) for worker, each in membership.waiting.items()},
        end=membership.end and replace(membership.end, at=membership.end.at + gap),
    )


def _silence(membership: Membership, rules: Rules, now: float) -> Membership:
    """Take workers for gone that are silent, or do not join again in time; end the round for silent ranks."""
    limit, end = rules.heartbeat_seconds, membership.end
    for worker, at in membership.present.items():
        if now - at > limit:
            end = End("silent", f"worker {worker} has been silent for {now - at:.0f} s", now)
            membership = out(over(membership, end), worker, now)
        elif end and now - end.at > end.grace + limit:
            membership = out(membership, worker, now)
    for rank in range(membership.world_size) if membership.end is None and membership.present else ():
        silent = now - membership.ranks.get(rank, membership.formed)
        if silent > (limit if rank in membership.ranks else max(limit, START_SECONDS)):
            return over(membership, End("silent", f"rank {rank} has been silent for {silent:.0f} s", now))
    return membership


def _let_in(membership: Membership, rules: Rules, now: float) -> Membership:
    """End the round for newcomers, once there are all or no more come."""
    newcomers = sorted(worker for worker in _live(membership, now) if worker not in membership.present)
    room = rules.max_replicas - len(membership.present)
    if membership.end or not membership.present or not newcomers or room <= 0:
        return membership
    all_there = len(membership.present) + len(newcomers) == rules.replicas
    if not all_there and now - membership.changed < SETTLE_SECONDS:
        return membership
    return over(membership, End("joined", f"{_workers(newcomers)} came on top", now))


def _live(membership: Membership, now: float) -> dict[int, Join]:
    return {
        worker: each.join for worker, each in sorted(membership.waiting.items()) if now - each.heard <= WAITING_SECONDS
    }


def _chosen(membership: Membership, rules: Rules, now: float) -> list[Join]:
    """Who would be in a round that is formed now: the lowest indices."""
    return list(_live(membership, now).values())[: rules.max_replicas]


def _settled(membership: Membership, there: int, rules: Rules, now: float) -> bool:
    wait = SETTLE_SECONDS if membership.members else FIRST_SETTLE_SECONDS
    return there >= rules.replicas or now - membership.changed >= wait


def _ranked(chosen: list[Join]) -> tuple[Member, ...]:
    members: list[Member] = []
    for each in chosen:
        first = members[-1].first_rank + members[-1].ranks if members else 0
        place = {"worker": each.worker, "process": each.process, "host": each.host, "port": each.port}
        members.append(Member.model_validate({**place, "first_rank": first, "ranks": each.ranks}))
    return tuple(members)


def _workers(indices: Collection[int]) -> str:
    numbers = ", ".join(str(index) for index in sorted(indices))
    return f"worker{'s' if len(indices) > 1 else ''} {numbers}"
