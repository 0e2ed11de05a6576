"""Who leads: what a candidate does about the Lease, decided from what it has seen of it by its own clock. Pure.

A leader takes itself for one until RENEW_DEADLINE after it has *sent* its last successful renewal. Another candidate
takes the Lease at the earliest LEASE_SECONDS after it has *seen* that renewal, which is later than it was sent. So
there is never more than one leader, whatever the clocks of the machines show.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

LEASE_SECONDS = 15.0
RENEW_DEADLINE = 10.0
RENEW_EVERY = 3.0
RETRY_EVERY = 1.0
"""Seconds between two looks of a candidate that stands by, and after a renewal that has failed."""


@dataclass(frozen=True)
class Lease:
    """The Lease as the API server has it.

    Attributes:
        holder: identity of the leader; empty where there is none.
        transitions: how often it was taken: the leader's epoch.
        version: its resourceVersion.
        seconds: how long it holds without a renewal.
    """

    holder: str
    transitions: int
    version: str
    seconds: float = LEASE_SECONDS


@dataclass(frozen=True)
class Candidate:
    """What an operator knows.

    Attributes:
        me: its identity: the pod's name, a slash and what tells this process from others in that pod.
        lease: the Lease as it was seen last; None where there is none.
        seen: when it was first seen so, by the own clock; long ago where there was none from the beginning.
        renewed: when the last write of it that has succeeded was sent, by the own clock; None for who does not lead.
    """

    me: str
    lease: Lease | None = None
    seen: float = float("-inf")
    renewed: float | None = None


@dataclass(frozen=True)
class Take:
    """Take the Lease; it has that many transitions then."""

    transitions: int


@dataclass(frozen=True)
class Renew:
    """Write the Lease again."""


@dataclass(frozen=True)
class Wait:
    """Do nothing yet."""


@dataclass(frozen=True)
class Lost:
    """Lead no more."""

    why: str


Step = Take | Renew | Wait | Lost


def next_step(known: Candidate, now: float) -> Step:
    """What to do now."""
    return _as_candidate(known, now) if known.renewed is None else _as_leader(known, known.renewed, now)


def leads(known: Candidate, now: float) -> bool:
    """Whether it may write: nobody else can have taken the Lease."""
    return known.renewed is not None and now < known.renewed + RENEW_DEADLINE


def observed(known: Candidate, lease: Lease | None, now: float) -> Candidate:
    """After a look at the Lease."""
    return known if lease == known.lease else replace(known, lease=lease, seen=now)


def written(known: Candidate, lease: Lease, sent: float) -> Candidate:
    """After a write of the Lease that has succeeded, and was sent at that time."""
    return replace(known, lease=lease, seen=sent, renewed=sent)


def _as_leader(known: Candidate, renewed: float, now: float) -> Step:
    if known.lease is None:
        return Lost("somebody has deleted the Lease")
    if known.lease.holder != known.me:
        return Lost(f"{known.lease.holder or 'nobody'} holds the Lease")
    if now >= renewed + RENEW_DEADLINE:
        return Lost(f"the Lease could not be renewed for {RENEW_DEADLINE:.0f} s")
    return Renew() if now >= renewed + RENEW_EVERY else Wait()


def _as_candidate(known: Candidate, now: float) -> Step:
    lease = known.lease
    if lease is not None and (not lease.holder or _dead(lease.holder, known.me)):
        return Take(lease.transitions + 1)
    holds = lease.seconds if lease is not None else LEASE_SECONDS
    return Take(lease.transitions + 1 if lease is not None else 1) if now >= known.seen + holds else Wait()


def _dead(holder: str, me: str) -> bool:
    """Whether the holder was a former process of the own pod, of which there is only one at a time."""
    return holder.rpartition("/")[0] == me.rpartition("/")[0]


def read_lease(thing: Mapping[str, Any]) -> Lease:
    """A Lease object."""
    spec = thing.get("spec") or {}
    return Lease(
        holder=spec.get("holderIdentity") or "",
        transitions=spec.get("leaseTransitions") or 0,
        version=thing["metadata"]["resourceVersion"],
        seconds=spec.get("leaseDurationSeconds") or LEASE_SECONDS,
    )
