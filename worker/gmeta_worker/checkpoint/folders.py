"""The folders of a run: `a<attempt>/s<step>/`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint.manifest import MANIFEST_NAME
from gmeta_worker.checkpoint.object_path import Folder


class CommitFolder(NamedTuple):
    """A folder that holds a commit or the beginning of one; sorts oldest first."""

    attempt: int
    step: int
    path: Folder


@contextmanager
def readable(folder: Folder) -> Iterator[None]:
    """Raise what goes wrong while a folder is looked at as CheckpointError."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be read ({error.strerror}); repair the volume") from error


def attempts(run_folder: Folder) -> list[int]:
    """Return the attempts that have a folder."""
    with readable(run_folder):
        return sorted(attempt for attempt, _ in _numbered(run_folder, "a"))


def next_attempt(run_folder: Folder) -> int:
    """Return the attempt that a new start in the run folder gets: one more than the last, 0 in a fresh folder."""
    return max(attempts(run_folder), default=-1) + 1


def commit_folders(run_folder: Folder) -> list[CommitFolder]:
    """Return every commit folder, whole or half-written, oldest first: by attempt, then by step."""
    with readable(run_folder):
        return sorted(
            CommitFolder(attempt, step, path)
            for attempt, folder in _numbered(run_folder, "a")
            for step, path in _numbered(folder, "s")
        )


def list_commits(run_folder: Folder) -> list[CommitFolder]:
    """Return the folders that hold a manifest, newest first; none of them is checked."""
    with readable(run_folder):
        return [folder for folder in reversed(commit_folders(run_folder)) if (folder.path / MANIFEST_NAME).is_file()]


def _numbered(folder: Folder, letter: str) -> Iterator[tuple[int, Folder]]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        match = re.fullmatch(rf"{letter}(0|[1-9][0-9]*)", path.name)
        if match and path.is_dir():
            yield int(match[1]), path
