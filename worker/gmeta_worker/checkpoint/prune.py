"""Deleting commits that nobody needs any more."""

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint.choose import best
from gmeta_worker.checkpoint.files import remove_tree, sync_folder
from gmeta_worker.checkpoint.folders import CommitFolder, commit_folders, list_commits
from gmeta_worker.checkpoint.manifest import MANIFEST_NAME
from gmeta_worker.checkpoint.object_path import Folder


def prune(run_folder: Folder, keep: int, newest: tuple[int, int]) -> list[Folder]:
    """Delete all commits but the newest `keep` and the best.

    Half-written folders that are older than the newest commit go too: nobody will finish them. So do the attempt's
    commits beyond the newest one: they were found damaged, training has gone on from before them, and they must neither
    take the place of a whole commit nor come back. (Commits of a newer attempt are not this coordinator's to judge.) A
    commit loses its manifest first, so that a crash in between leaves a half-written folder and never a damaged commit.
    Only call it right after a commit: the members of a generation have then read the commit that they started from.

    Args:
        run_folder: the job's folder.
        keep: how many of the newest commits stay, at least 1.
        newest: attempt and step of the commit that has just been made.

    Returns:
        The deleted folders.

    Raises:
        CheckpointError: a folder cannot be deleted.
    """
    attempt, step = newest
    given_up = [each for each in reversed(list_commits(run_folder)) if each.attempt == attempt and each.step > step]
    for folder in given_up:
        _delete(folder)
    kept = {folder.path.absolute() for folder in list_commits(run_folder)[:keep]}
    if (top := best(run_folder)) is not None:
        kept.add(top.folder)
    older = [folder for folder in commit_folders(run_folder) if (folder.attempt, folder.step) < newest]
    doomed = [folder for folder in older if folder.path.absolute() not in kept]
    for folder in doomed:
        _delete(folder)
    return [folder.path for folder in (*given_up, *doomed)]


def _delete(folder: CommitFolder) -> None:
    try:
        (folder.path / MANIFEST_NAME).unlink(missing_ok=True)
        sync_folder(folder.path)
        remove_tree(folder.path)
    except OSError as error:
        raise CheckpointError(
            f"{folder.path}: cannot delete the old commit ({error.strerror}); fix the folder's permissions"
        ) from error
