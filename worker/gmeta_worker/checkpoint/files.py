"""Durable writes, on disks and in object stores: when a call returns, the bytes survive a crash of the machine."""

import os
import shutil
from pathlib import Path

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint.object_path import Folder, ObjectPath


def write_durably(path: Folder, *pieces: memoryview) -> None:
    """Write `pieces`, one after the other, to `path` through to the disk.

    Raises:
        CheckpointError: the disk is full, or the folder cannot be written; names both sizes.
    """
    try:
        if isinstance(path, ObjectPath):
            path.write_pieces(*pieces)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        needed = sum(len(piece) for piece in pieces)
        raise CheckpointError(_cannot_write(path, needed, error)) from error


def replace_durably(path: Folder, data: bytes) -> None:
    """Put `data` at `path` so that a reader sees either the old file or the whole new one."""
    if isinstance(path, ObjectPath):
        write_durably(path, memoryview(data))
        return
    temporary = path.with_name(path.name + ".tmp")
    write_durably(temporary, memoryview(data))
    try:
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise CheckpointError(_cannot_write(path, len(data), error)) from error


def sync_folder(folder: Folder) -> None:
    """Make the names in `folder` durable.

    Raises:
        CheckpointError: the disk is full or fails.
    """
    if isinstance(folder, ObjectPath):
        return
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


def remove_tree(folder: Folder) -> None:
    """Delete a folder and everything in it."""
    if isinstance(folder, ObjectPath):
        folder.remove_tree()
    else:
        shutil.rmtree(folder)


def _cannot_write(path: Folder, needed: int, error: OSError) -> str:
    if isinstance(path, ObjectPath):
        return (
            f"{path}: cannot be written ({error.strerror}); check the volume's uri and endpoint, and the credentials "
            "in its credentialsSecret"
        )
    return (
        f"{path.parent}: cannot write {path.name} ({error.strerror}): it needs {needed} bytes, "
        f"{_free_bytes(path)} bytes are free; free space or fix the folder's permissions, or lower spec.checkpoint.keep"
    )


def _free_bytes(path: Path) -> int:
    existing = next(parent for parent in path.parents if parent.is_dir())
    stat = os.statvfs(existing)
    return stat.f_bavail * stat.f_frsize
