"""The coordinator's edge to the disk: performs the effects of transitions in a run folder."""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Self

from gmeta_api.document import JobDocument

from gmeta_worker.checkpoint.choose import newest_valid
from gmeta_worker.checkpoint.commit import claim_attempt, publish, require_current
from gmeta_worker.checkpoint.fit import require_same_job
from gmeta_worker.checkpoint.manifest import CommitManifest
from gmeta_worker.checkpoint.prune import prune
from gmeta_worker.coordination.events import EVENTS_NAME, Event, EventLog, job_clock_start, wall_time
from gmeta_worker.coordination.messages import Message, Register, Reply, ShardWritten
from gmeta_worker.coordination.recovery import recover
from gmeta_worker.coordination.state import Publish, State, transition, with_commit
from gmeta_worker.coordination.status import Status, status_of

log = logging.getLogger(__name__)


class Job:
    """One attempt of a job in its run folder: the state, its events and its commits. Not safe for several threads.

    Args:
        document: the job.
        run_folder: where its commits and events lie; claimed for the document's attempt.
        monotonic: seconds on a clock that never goes back.
        wall: the time of day.

    Raises:
        CheckpointError: the run folder belongs to a newer attempt or to another job, or cannot be written.
        CoordinationError: another coordinator holds the run folder, or its events are damaged.
    """

    def __init__(
        self,
        document: JobDocument,
        run_folder: Path,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = wall_time,
    ) -> None:
        self.document = document
        self._folder = run_folder
        self._wall = wall
        self._log = EventLog(run_folder / EVENTS_NAME)
        claim_attempt(run_folder, document.attempt)
        self.events: list[Event] = list(self._log.recovered)
        start, began = job_clock_start(self.events, wall()), monotonic()
        self._now = lambda: start + monotonic() - began
        self._state = recover(_initial(document), self.events, *self._newest_commit())

    @property
    def finished(self) -> bool:
        """Whether the attempt has ended."""
        return self._state.finished is not None

    @property
    def state(self) -> State:
        """What the coordinator knows."""
        return self._state

    def status(self) -> Status:
        """Return the status document."""
        return status_of(self._state, self.document.job, self.document.spec.training.epochs, self._now())

    def handle(self, message: Message) -> Reply:
        """Take over what `message` does to the job, durably, and return the reply.

        Raises:
            CheckpointError: a commit cannot be made; the state is as before.
        """
        state, now = self._state, self._now()
        if isinstance(message, Register):
            state = with_commit(state, *self._newest_commit())
        outcome = transition(state, message, now)
        for effect in outcome.effects:
            if isinstance(effect, Publish):
                publish(self._folder, effect.manifest)
            else:
                self._record(effect.message, outcome.state.generation, now)
        self._state = outcome.state
        if isinstance(message, ShardWritten) and outcome.effects:
            self._prune()
        return outcome.reply

    def close(self) -> None:
        """Let go of the run folder."""
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _record(self, message: Message, generation: int, now: float) -> None:
        event = Event(at=now, time=self._wall(), generation=generation, message=message)
        self._log.append(event)
        self.events.append(event)
