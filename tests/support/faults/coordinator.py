"""The real coordinator, which can die at any of its writes, and comes back from what the disk has."""

import fcntl
import os
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from unittest.mock import patch

from faults.world import World
from gmeta_api.document import JobDocument
from gmeta_api.errors import CheckpointError
from gmeta_worker.coordination.events import EVENTS_NAME, EventLog
from gmeta_worker.coordination.job import Job
from gmeta_worker.coordination.messages import Refusal
from gmeta_worker.coordination.server import ROUTES

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class CoordinatorCrashed(BaseException):
    """The coordinator has died while it handled a message."""


class Coordinator:
    """The coordinator of one attempt, over all of its lives."""

    def __init__(self, world: World, document: JobDocument) -> None:
        self.attempt = document.attempt
        self.dies_at_disk_point: int | None = None
        self._world = world
        self._document = document
        self._log: EventLog | None = None
        self._job: Job | None = None

    @property
    def running(self) -> bool:
        return self._job is not None

    @property
    def job(self) -> Job:
        assert self._job is not None
        return self._job

    def start(self) -> None:
        """Come (back) to life, if it survives that.

        Raises:
            CoordinationError: another coordinator holds the run folder.
            CheckpointError: a newer attempt owns it, or it cannot be written.
        """
        world = self._world
        world.handling = self
        try:
            with patch.object(fcntl, "flock", fcntl.flock if world.locks else lambda *_: None):
                self._log = EventLog(world.folder / EVENTS_NAME)
            self._job = Job(self._document, world.folder, self._log, world.clock, self._wall)
        except CoordinatorCrashed:
            self.die()
        except BaseException:
            self.die()
            raise
        finally:
            world.handling = None

    def die(self) -> None:
        """As SIGKILL does."""
        if self._log is not None:
            self._log.__exit__(None, None, None)
        self._log = self._job = None
        self.dies_at_disk_point = None

    def answer(self, path: str, body: bytes) -> tuple[int, str]:
        """What the server answers: status and body.

        Raises:
            CoordinatorCrashed: it has died before it could.
        """
        message = ROUTES[path.rsplit("/", 1)[1]].model_validate_json(body)
        self._world.handling = self
        try:
            reply = self.job.handle(message)
        except CheckpointError as error:
            refusal = Refusal(reason="checkpoint", message=str(error))
            return HTTPStatus.INSUFFICIENT_STORAGE, refusal.model_dump_json()
        except CoordinatorCrashed:
            self.die()
            raise
        finally:
            self._world.handling = None
        if isinstance(reply, Refusal):
            self._world.saw(f"refused: {reply.reason}")
        return (HTTPStatus.CONFLICT if isinstance(reply, Refusal) else HTTPStatus.OK), reply.model_dump_json()

    def at_disk(self, descriptor: int) -> None:
        """Called at each of its flushes to the disk."""
        if self.dies_at_disk_point is None:
            return
        self.dies_at_disk_point -= 1
        if self.dies_at_disk_point < 0:
            self._world.saw("coordinator killed while it wrote")
            self._cut_short(descriptor)
            raise CoordinatorCrashed

    def _cut_short(self, descriptor: int) -> None:
        """Of the events only the end of the last line can be missing: what was there before is on the disk.

        (Where no lock keeps two coordinators apart, the other's next line would follow, and a person would have to cut
        the broken one out.)
        """
        if Path(f"/proc/self/fd/{descriptor}").readlink().name != EVENTS_NAME:
            self._world.cut_short(descriptor)
        elif self._world.chance(0.5) and not any(each.running for each in self._world.coordinators if each is not self):
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - self._world.random.randint(1, 20))

    def _wall(self) -> datetime:
        return NOON + timedelta(seconds=self._world.now)
