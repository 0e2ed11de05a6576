"""Durable writes: when a call returns, the bytes survive a crash of the machine."""

import os
from pathlib import Path

from gmeta_api.errors import CheckpointError


def write_durably(path: Path, *pieces: memoryview) -> None:
    """Write `pieces`, one after the other, to `path` through to the disk.

    Raises:
        CheckpointError: the disk is full, or the folder cannot be written; names both sizes.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        needed = sum(len(piece) for piece in pieces)
        raise CheckpointError(_cannot_write(path, needed, error)) from error


def replace_durably(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that a reader sees either the old file or the whole new one."""
    temporary = path.with_name(path.name + ".tmp")
    write_durably(temporary, memoryview(data))
    try:
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise CheckpointError(_cannot_write(path, len(data), error)) from error


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable.

    Raises:
        CheckpointError: the disk is full or fails.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise CheckpointError(
            f"{folder}: cannot be flushed to the disk ({error.strerror}); free space or repair the volume"
        ) from error


def _cannot_write(path: Path, needed: int, error: OSError) -> str:
    return (
        f"{path.parent}: cannot write {path.name} ({error.strerror}): it needs {needed} bytes, "
        f"{_free_bytes(path)} bytes are free; free space or fix the folder's permissions, or lower spec.checkpoint.keep"
    )


def _free_bytes(path: Path) -> int:
    existing = next(parent for parent in path.parents if parent.is_dir())
    stat = os.statvfs(existing)
    return stat.f_bavail * stat.f_frsize
