"""The coordinator's edge to the disk: performs the effects of transitions in a run folder."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from pydantic import JsonValue

from gmeta_api.document import JobDocument
from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint.choose import newest_valid
from gmeta_worker.checkpoint.commit import claim_attempt, publish
from gmeta_worker.checkpoint.fit import require_same_job
from gmeta_worker.checkpoint.manifest import CommitManifest
from gmeta_worker.checkpoint.object_path import Folder, ObjectPath
from gmeta_worker.checkpoint.prune import prune
from gmeta_worker.coordination.commits import Commits
from gmeta_worker.coordination.event_object import EventObject
from gmeta_worker.coordination.events import EVENTS_NAME, Event, EventLog, job_clock_start, wall_time
from gmeta_worker.coordination.membership import Rules
from gmeta_worker.coordination.messages import Join, Message, Reply, ShardWritten
from gmeta_worker.coordination.recovery import recover
from gmeta_worker.coordination.rules import rules_of
from gmeta_worker.coordination.state import Append, Publish, State, transition, with_commit
from gmeta_worker.coordination.status import Status, status_of

log = logging.getLogger(__name__)


class Job:
    """One attempt of a job in its run folder: state, events and commits. Messages are handled one at a time.

    Args:
        document: the job.
        run_folder: where its commits lie; claimed for the document's attempt.
        events: its open event file.
        monotonic: seconds on a clock that never goes back.
        wall: the time of day.
        rules: what the manifest says about membership now: `workers.replicas` may change while the job runs.

    Raises:
        CheckpointError: the run folder belongs to a newer attempt or to another job, or cannot be written.
    """

    def __init__(
        self,
        document: JobDocument,
        run_folder: Folder,
        events: EventLog | EventObject,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = wall_time,
        rules: Callable[[], Rules] | None = None,
    ) -> None:
        claim_attempt(run_folder, document.attempt)
        self.document = document
        self._folder = run_folder
        self._log = events
        self._monotonic = monotonic
        self._wall = wall
        self._rules = rules or partial(rules_of, document.spec)
        self._clock_offset = job_clock_start(events.events, wall()) - monotonic()
        self._state = recover(_initial(document), events.events, *self._newest_commit())
        self._listeners: list[Callable[[Event], None]] = []

    @property
    def state(self) -> State:
        """What the coordinator knows."""
        return self._state

    @property
    def events(self) -> tuple[Event, ...]:
        """Everything that happened to the job, in former attempts too."""
        return tuple(self._log.events)

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Have `listener` called with every further event, once it is written."""
        self._listeners.append(listener)

    def status(self) -> Status:
        """Return the status document."""
        return status_of(self._state, self.document.job, self.document.spec.training.epochs, self._now())

    def handle(self, message: Message) -> Reply:
        """Take over what `message` does to the job, durably, and return the reply.

        Raises:
            CheckpointError: a commit cannot be made; the state is as before.
        """
        if isinstance(message, Join):
            self._state = replace(self._state, rules=self._rules())
        outcome = transition(self._state, message, self._now())
        if outcome.state.generation > self._state.generation:
            # A round is formed: it begins from what the disk has, which is read and verified only now.
            outcome = transition(with_commit(self._state, *self._newest_commit()), message, self._now())
        for effect in outcome.effects:
            if isinstance(effect, Publish):
                self._log.require_held()
                publish(self._folder, effect.manifest)
            else:
                self._append(effect)
        self._state = outcome.state
        if isinstance(message, ShardWritten) and outcome.effects:
            self._prune()
        return outcome.reply

    def _append(self, effect: Append) -> None:
        time = self._wall() - timedelta(seconds=self._now() - effect.at)
        event = Event(at=effect.at, time=time, generation=effect.generation, message=effect.message)
        self._log.append(event)
        for listener in self._listeners:
            listener(event)

    def _now(self) -> float:
        return self._monotonic() + self._clock_offset

    def _newest_commit(self) -> tuple[CommitManifest | None, tuple[str, ...]]:
        commit, skipped = newest_valid(self._folder)
        for message in skipped:
            log.warning("%s", message)
        if commit is None:
            return None, skipped
        require_same_job(commit, self.document.job)
        return commit.manifest, skipped

    def _prune(self) -> None:
        newest = self._state.commits.newest
        assert newest is not None, "one has just been made"
        try:
            prune(self._folder, self.document.spec.checkpoint.keep, newest.position)
        except CheckpointError as error:
            log.warning("%s", error)


@contextmanager
def open_job(document: JobDocument, run_folder: Folder, rules: Callable[[], Rules] | None = None) -> Iterator[Job]:
    """Hold the run folder and the job in it; `rules` as for Job.

    Raises:
        CheckpointError: the run folder belongs to a newer attempt or to another job, or cannot be written.
        CoordinationError: another coordinator holds the run folder, or its events are damaged.
    """
    path = run_folder / EVENTS_NAME
    with EventObject(path) if isinstance(path, ObjectPath) else EventLog(path) as events:
        yield Job(document, run_folder, events, rules=rules)


def _initial(document: JobDocument) -> State:
    spec: dict[str, JsonValue] = document.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return State(document.attempt, Commits(document.job, spec), rules_of(document.spec))
