"""The job's events: rounds and accepted messages, one JSON line each, in `events.jsonl` of the run folder."""

import fcntl
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, NonNegativeFloat, NonNegativeInt, ValidationError

from gmeta_api.errors import CheckpointError, CoordinationError
from gmeta_worker.checkpoint.object_path import Folder
from gmeta_worker.checkpoint.record import Record
from gmeta_worker.coordination.messages import Progress, Recorded

EVENTS_NAME = "events.jsonl"


class Event(Record):
    """Something that happened to the job, and when."""

    at: NonNegativeFloat = Field(description="Seconds since the job's first coordinator started.")
    time: AwareDatetime = Field(description="The same on the wall clock.")
    generation: NonNegativeInt = Field(description="The generation once the message had been accepted.")
    message: Annotated[Recorded, Field(discriminator="kind")]


class EventLog:
    """The open event file. Only one process can hold it.

    Args:
        path: the file; made if it does not exist.

    Attributes:
        events: all events of the file, oldest first.

    Raises:
        CoordinationError: another coordinator holds the file, or a line of it is damaged.
        CheckpointError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise CheckpointError(_cannot_write(path, error)) from error
        try:
            self._lock()
            self.events: list[Event] = list(self._recover())
        except BaseException:
            os.close(self._descriptor)
            raise

    def append(self, event: Event) -> None:
        """Append `event`; it is durable on return, but for progress, which only survives the end of this process.

        Raises:
            CheckpointError: it cannot be written; the file is as before.
        """
        line = to_line(event)
        size = os.fstat(self._descriptor).st_size
        try:
            self._write(line, durable=not isinstance(event.message, Progress))
        except OSError as error:
            os.ftruncate(self._descriptor, size)
            raise CheckpointError(_cannot_write(self._path, error)) from error
        self.events.append(event)

    def require_held(self) -> None:
        """Nothing to do: nobody can take a lock away."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def _write(self, line: bytes, durable: bool) -> None:
        while line:
            line = line[os.write(self._descriptor, line) :]
        if durable:
            os.fsync(self._descriptor)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CoordinationError(
                f"{self._path.parent}: another coordinator is running in this run folder; "
                "stop it first, or give this job its own spec.checkpoint.path"
            ) from error

    def _recover(self) -> tuple[Event, ...]:
        """Read what is there; the beginning of a line that a crash cut short is cut off."""
        data = self._path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(self._descriptor, whole)
        return parse_events(self._path, data[:whole])


def to_line(event: Event) -> bytes:
    """Return the line of an event."""
    return event.model_dump_json().encode() + b"\n"


def read_events(path: Folder) -> tuple[Event, ...]:
    """Read an event file, without a last line that is still being written.

    Raises:
        CoordinationError: a line is no event; names it.
    """
    data = path.read_bytes()
    return parse_events(path, data[: data.rfind(b"\n") + 1])


def parse_events(path: Folder, data: bytes) -> tuple[Event, ...]:
    """Parse the lines of the event file `path`.

    Raises:
        CoordinationError: a line is no event; names it.
    """
    return tuple(_parse(path, number, line) for number, line in enumerate(data.splitlines(), start=1))


def job_clock_start(events: Iterable[Event], now: datetime) -> float:
    """Return what the job's clock shows at the wall time `now`, when a coordinator takes over from the events.

    The clock is monotonic: it never falls behind the last event, even if the wall clock was set back.
    """
    last = max(events, key=lambda event: event.at, default=None)
    return last.at + max(0.0, (now - last.time).total_seconds()) if last else 0.0


def wall_time() -> datetime:
    """Return the wall time in UTC."""
    return datetime.now(UTC)


def _cannot_write(path: Path, error: OSError) -> str:
    return f"{path}: cannot be written ({error.strerror}); free space on the checkpoint volume or fix its permissions"


def _parse(path: Folder, number: int, line: bytes) -> Event:
    try:
        return Event.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CoordinationError(
            f"{path}: line {number} is not an event ({where + ': ' if where else ''}{first['msg']}); "
            "delete the line, or the run folder to start afresh"
        ) from error
