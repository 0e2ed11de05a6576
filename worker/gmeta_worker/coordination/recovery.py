"""From the disk back to the state that a coordinator had when it died."""

from collections.abc import Sequence
from dataclasses import replace

from gmeta_worker.checkpoint.manifest import CommitManifest
from gmeta_worker.coordination.commits import replay_commit
from gmeta_worker.coordination.events import Event
from gmeta_worker.coordination.goodput import account_of
from gmeta_worker.coordination.membership import committed, heard_at, replay
from gmeta_worker.coordination.messages import Formed, ShardWritten
from gmeta_worker.coordination.state import State, transition, with_commit


def recover(initial: State, events: Sequence[Event], commit: CommitManifest | None, warnings: tuple[str, ...]) -> State:
    """Replay the events of the state's attempt, then take the newest whole commit as the disk has it.

    Where the time went is a matter of all attempts.

    The members of the last round are taken to be alive: they beat, and hear that nothing has changed.
    """
    state, last = initial, 0.0
    for event in events:
        if event.message.attempt == initial.attempt:
            state, last = _replay(state, event), event.at
    state = replace(state, membership=heard_at(state.membership, last), account=account_of(events))
    return with_commit(state, commit, warnings)


def _replay(state: State, event: Event) -> State:
    match event.message:
        case Formed():
            return replace(state, membership=replay(state.membership, event.message, event.at), window=())
        case ShardWritten():
            commits, membership = replay_commit(state.commits), committed(state.membership)
            return replace(state, commits=commits, membership=membership)
        case _:
            alive = replace(state, membership=heard_at(state.membership, event.at))
            return transition(alive, event.message, event.at).state
