"""The folders of a run: `a<attempt>/s<step>/`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gmeta_worker.checkpoint.manifest import MANIFEST_NAME


class CommitFolder(NamedTuple):
    """A folder that holds a commit or the beginning of one; sorts oldest first."""

    attempt: int
    step: int
    path: Path


def attempts(run_folder: Path) -> list[int]:
    """Return the attempts that have a folder."""
    return sorted(attempt for attempt, _ in _numbered(run_folder, "a"))


def next_attempt(run_folder: Path) -> int:
    """Return the attempt that a new start in the run folder gets: one more than the last, 0 in a fresh folder."""
    return max(attempts(run_folder), default=-1) + 1


def commit_folders(run_folder: Path) -> list[CommitFolder]:
    """Return every commit folder, whole or half-written, oldest first: by attempt, then by step."""
    return sorted(
        CommitFolder(attempt, step, path)
        for attempt, folder in _numbered(run_folder, "a")
        for step, path in _numbered(folder, "s")
    )


def list_commits(run_folder: Path) -> list[CommitFolder]:
    """Return the folders that hold a manifest, newest first; none of them is checked."""
    return [folder for folder in reversed(commit_folders(run_folder)) if (folder.path / MANIFEST_NAME).is_file()]


def _numbered(folder: Path, letter: str) -> Iterator[tuple[int, Path]]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        match = re.fullmatch(rf"{letter}(0|[1-9][0-9]*)", path.name)
        if match and path.is_dir():
            yield int(match[1]), path
