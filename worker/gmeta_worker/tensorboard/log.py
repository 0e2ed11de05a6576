"""The event file of a run folder, on a disk or in an object store."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from gmeta_api.document import JobDocument
from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint.files import replace_durably
from gmeta_worker.checkpoint.object_path import Folder, ObjectPath
from gmeta_worker.coordination.events import Event
from gmeta_worker.coordination.messages import Progress
from gmeta_worker.tensorboard.scalars import ScalarEncoder

FILE = "tensorboard/events.out.tfevents.gmeta"

log = logging.getLogger(__name__)


def follow_scalars(run_folder: Folder, document: JobDocument, events: Sequence[Event]) -> Callable[[Event], None]:
    """Write the scalars of a job's events so far; the function that writes those of each further event.

    A coordinator that is started again goes on in the same file. What cannot be written is left out with a warning: the
    job does not depend on it.
    """
    encoder = ScalarEncoder(document.spec)
    so_far = b"".join(map(encoder.encode, events))
    path = run_folder / FILE
    write = _ObjectFile(path, so_far) if isinstance(path, ObjectPath) else _LocalFile(path, so_far)
    return _WithoutFailing(encoder, write)


class _WithoutFailing:
    def __init__(self, encoder: ScalarEncoder, write: "_LocalFile | _ObjectFile") -> None:
        self._encoder = encoder
        self._write = write
        self._works = True

    def __call__(self, event: Event) -> None:
        if not self._works:
            return
        try:
            self._write(self._encoder.encode(event), durable=not isinstance(event.message, Progress))
        except (OSError, CheckpointError) as error:
            self._works = False
            log.warning("no more scalars for TensorBoard: %s", error)


class _LocalFile:
    """A file that grows; a reader may follow it."""

    def __init__(self, path: Path, so_far: bytes) -> None:
        self._path = path
        self._so_far: bytes | None = so_far

    def __call__(self, data: bytes, *, durable: bool) -> None:  # noqa: ARG002  # the events are what must be durable
        if self._so_far is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._catch_up(self._so_far)
            self._so_far = None
        with self._path.open("ab") as file:
            file.write(data)

    def _catch_up(self, so_far: bytes) -> None:
        """Write what the file lacks; all of it if the file is not the beginning of it."""
        there = self._path.read_bytes() if self._path.exists() else b""
        if so_far.startswith(there):
            with self._path.open("ab") as file:
                file.write(so_far[len(there) :])
        else:
            self._path.write_bytes(so_far)


class _ObjectFile:
    """An object, written anew with every event that is durable itself."""

    def __init__(self, path: ObjectPath, so_far: bytes) -> None:
        self._path = path
        self._data = so_far

    def __call__(self, data: bytes, *, durable: bool) -> None:
        self._data += data
        if durable:
            replace_durably(self._path, self._data)
