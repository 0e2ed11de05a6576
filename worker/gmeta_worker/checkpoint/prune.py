"""Deleting commits that nobody needs any more."""

import shutil
from pathlib import Path

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint.choose import best
from gmeta_worker.checkpoint.files import sync_folder
from gmeta_worker.checkpoint.folders import CommitFolder, commit_folders, list_commits
from gmeta_worker.checkpoint.manifest import MANIFEST_NAME


def prune(run_folder: Path, keep: int) -> list[Path]:
    """Delete all commits but the newest `keep` and the best.

    Half-written folders that are older than the newest commit go too: nobody will finish them. A commit loses its
    manifest first, so that a crash in between leaves a half-written folder and never a damaged commit. Only call it
    right after a commit: the members of a generation have then read the commit that they started from.

    Args:
        run_folder: the job's folder.
        keep: how many of the newest commits stay, at least 1.

    Returns:
        The deleted folders, oldest first.

    Raises:
        CheckpointError: a folder cannot be deleted.
    """
    commits = list_commits(run_folder)
    if not commits:
        return []
    kept = {commit.path.absolute() for commit in commits[:keep]}
    if (top := best(run_folder)) is not None:
        kept.add(top.folder)
    older = [folder for folder in commit_folders(run_folder) if folder < commits[0]]
    doomed = [folder for folder in older if folder.path.absolute() not in kept]
    for folder in doomed:
        _delete(folder)
    return [folder.path for folder in doomed]


def _delete(folder: CommitFolder) -> None:
    try:
        (folder.path / MANIFEST_NAME).unlink(missing_ok=True)
        sync_folder(folder.path)
        shutil.rmtree(folder.path)
    except OSError as error:
        raise CheckpointError(
            f"{folder.path}: cannot delete the old commit ({error.strerror}); fix the folder's permissions"
        ) from error
