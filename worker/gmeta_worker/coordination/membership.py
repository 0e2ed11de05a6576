"""Who takes part in a job: the current round and who waits for the next one. Pure.

A round ends when one of its members joins again, leaves, falls silent or is replaced, or when a newcomer is let in.
Then every member has to join again, or be gone, before the next round is formed.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gmeta_api.exit_codes import ExitCode
from gmeta_worker.coordination.messages import Cause, CommitRef, Formed, Join, Member

COMMIT_SECONDS = 30.0
"""Time for ranks to finish the step and commit when a round ends in order."""
BROKEN_SECONDS = 3.0
"""Time for ranks to end when the round is broken: what they wait for does not come."""

COUNTED: frozenset[Cause] = frozenset({"failed", "silent", "unreachable"})
"""Causes that count against faultTolerance.backoffLimit."""
_SEVERITY: tuple[Cause, ...] = ("interrupted", "joined", "unreachable", "left", "replaced", "silent", "failed")
"""Several may be told of one round; the last of these explains the others."""


@dataclass(frozen=True)
class Rules:
    """What the manifest says about membership.

    Attributes:
        replicas: workers that the job should have.
        min_replicas: fewest that a round is formed of.
        max_replicas: most that a round is formed of.
        heartbeat_seconds: silence after which a process is taken for dead.
        backoff_limit: rounds in a row that may fail without a commit.
    """

    replicas: int = 1
    min_replicas: int = 1
    max_replicas: int = 1024
    heartbeat_seconds: float = 30.0
    backoff_limit: int = 6


@dataclass(frozen=True)
class Waiter:
    """An agent that asks for a round, and when it last did."""

    join: Join
    heard: float


@dataclass(frozen=True)
class End:
    """Why a round is over.

    Attributes:
        cause: the kind.
        reason: in words.
        at: when it was noticed first.
        exit_code: of the rank that failed, if one did.
    """

    cause: Cause
    reason: str
    at: float
    exit_code: int = ExitCode.INTERNAL

    @property
    def grace(self) -> float:
        """Seconds that the ranks have to end by themselves; they can still commit if every one of them is there."""
        return COMMIT_SECONDS if self.cause in ("joined", "left", "interrupted") else BROKEN_SECONDS


@dataclass(frozen=True)
class Membership:
    """The current round and who waits for the next one.

    Attributes:
        generation: of the current round; 0 before the first.
        members: its members in the order of their ranks.
        commit: what it began from.
        present: by worker, when each member that has not joined again and is not gone was last heard.
        ranks: by rank, when each was last heard; a rank comes in with its first beat.
        formed: when it was formed.
        end: why it is over; None while it runs.
        reason: why the round before it ended, in words.
        waiting: by worker, who asks for the next round.
        changed: when somebody last came or went.
        heard: when anything was last heard.
        replaced: processes whose place another one has taken; they are refused for good.
        restarts: rounds of this attempt that have ended, by cause.
        failures: counted ends since the last commit.
    """

    generation: int = 0
    members: tuple[Member, ...] = ()
    commit: CommitRef | None = None
    present: Mapping[int, float] = field(default_factory=dict)
    ranks: Mapping[int, float] = field(default_factory=dict)
    formed: float = 0.0
    end: End | None = None
    reason: str = ""
    waiting: Mapping[int, Waiter] = field(default_factory=dict)
    changed: float = 0.0
    heard: float = 0.0
    replaced: frozenset[str] = frozenset()
    restarts: Mapping[Cause, int] = field(default_factory=dict)
    failures: int = 0

    @property
    def world_size(self) -> int:
        """Ranks of the current round."""
        return sum(member.ranks for member in self.members)

    @property
    def anybody(self) -> bool:
        """Whether any agent is in the round or waits for one."""
        return bool(self.present or self.waiting)

    def place_of(self, process: str) -> int | None:
        """Which of the members a process is."""
        return next((place for place, member in enumerate(self.members) if member.process == process), None)


def over(membership: Membership, end: End) -> Membership:
    """End the round; of several causes the most telling one stays, and the first moment."""
    before = membership.end
    if before is None:
        return replace(membership, end=end)
    if _SEVERITY.index(end.cause) <= _SEVERITY.index(before.cause):
        return membership
    return replace(membership, end=replace(end, at=before.at))


def out(membership: Membership, worker: int, now: float) -> Membership:
    """A member is not in the round any more: it has joined again, or is gone."""
    present = {each: at for each, at in membership.present.items() if each != worker}
    return replace(membership, present=present, changed=now)


def committed(membership: Membership) -> Membership:
    """A commit was made: former failures do not count any more."""
    return replace(membership, failures=0)


def heard_rank(membership: Membership, rank: int, now: float) -> Membership:
    """A rank of the current round has sent something else than a beat."""
    return replace(membership, ranks={**membership.ranks, rank: now})


def heard_at(membership: Membership, now: float) -> Membership:
    """As if everybody had just been heard: what a coordinator that starts again assumes."""
    return replace(
        membership,
        present=dict.fromkeys(membership.present, now),
        ranks=dict.fromkeys(membership.ranks, now),
        heard=now,
    )


def counted(membership: Membership) -> Membership:
    """Count the end of the round."""
    end = membership.end
    if end is None:
        return membership
    restarts: Counter[Cause] = Counter(membership.restarts)
    restarts[end.cause] += 1
    failures = membership.failures + (end.cause in COUNTED)
    return replace(membership, restarts=dict(restarts), failures=failures)


def replay(membership: Membership, event: Formed, at: float) -> Membership:
    """The membership after a round that the job's events tell of."""
    gone = {member.process for member in membership.members if member.worker in {m.worker for m in event.members}}
    ended = End(event.cause, event.reason, at) if event.cause else None
    return replace(
        counted(replace(membership, end=ended)),
        generation=event.generation,
        members=event.members,
        commit=event.commit,
        present={member.worker: at for member in event.members},
        ranks={},
        formed=at,
        end=None,
        reason=event.reason,
        waiting={},
        replaced=membership.replaced | (gone - {member.process for member in event.members}),
        heard=at,
    )
