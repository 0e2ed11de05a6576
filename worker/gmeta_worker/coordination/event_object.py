"""The job's events in an object store, where nothing can be appended to and nothing be locked.

The object is written anew for every event that must be durable, on condition that it is still the one this process has
read or written last. So of two coordinators only one can go on, whichever came first.
"""

from contextlib import suppress
from types import TracebackType
from typing import Self

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint.object_path import ChangedError, ObjectPath, Version
from gmeta_worker.coordination.events import Event, parse_events, to_line
from gmeta_worker.coordination.messages import Progress


class EventObject:
    """The event object; used as an EventLog is.

    Args:
        path: the object; made with the first event if it does not exist.

    Attributes:
        events: all events, oldest first.

    Raises:
        CoordinationError: a line of it is damaged.
        CheckpointError: it cannot be read.
    """

    def __init__(self, path: ObjectPath) -> None:
        self._path = path
        self._data = b""
        self._version: Version | None = None
        try:
            self._data, self._version = path.read_version()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._failed("read", error) from error
        self.events: list[Event] = list(parse_events(path, self._data))

    def append(self, event: Event) -> None:
        """Append `event`; it is durable on return, but for progress, which becomes so with the next event.

        Raises:
            CheckpointError: it cannot be written, or another coordinator has taken over; nothing has changed.
        """
        data = self._data + to_line(event)
        if not isinstance(event.message, Progress):
            self._write(data)
        self._data = data
        self.events.append(event)

    def require_held(self) -> None:
        """Raise CheckpointError if another coordinator has taken over."""
        try:
            current = self._path.version()
        except OSError as error:
            raise self._failed("read", error) from error
        if current != self._version:
            raise self._taken_over()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(CheckpointError):  # progress alone can be missing
            self._write(self._data)

    def _write(self, data: bytes) -> None:
        try:
            self._version = self._path.replace_version(data, self._version)
        except ChangedError as error:
            raise self._taken_over() from error
        except OSError as error:
            raise self._failed("written", error) from error

    def _taken_over(self) -> CheckpointError:
        return CheckpointError(
            f"{self._path.parent}: another coordinator has taken over this run folder; this one must stop"
        )

    def _failed(self, what: str, error: OSError) -> CheckpointError:
        return CheckpointError(
            f"{self._path}: cannot be {what} ({error.strerror}); check the volume's uri and endpoint, and the "
            "credentials in its credentialsSecret"
        )
