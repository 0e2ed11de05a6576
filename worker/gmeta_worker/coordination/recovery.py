"""From the disk back to the state that a coordinator had when it died."""

from collections.abc import Iterable
from dataclasses import replace

from gmeta_worker.checkpoint.manifest import CommitManifest
from gmeta_worker.coordination.events import Event
from gmeta_worker.coordination.messages import Register
from gmeta_worker.coordination.state import State, transition, with_commit


def recover(initial: State, events: Iterable[Event], commit: CommitManifest | None, warnings: tuple[str, ...]) -> State:
    """Replay the events of the state's attempt, then take the newest whole commit as the disk has it."""
    state = initial
    for event in events:
        if event.message.attempt == initial.attempt:
            state = _replay(state, event)
    return with_commit(state, commit, warnings)


def _replay(state: State, event: Event) -> State:
    if isinstance(event.message, Register):
        state = replace(state, generation=event.generation - 1)
    return transition(state, event.message, event.at).state
