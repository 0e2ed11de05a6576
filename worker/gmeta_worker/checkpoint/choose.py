"""Choosing a commit of a run: the newest whole one, or the best."""

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint.folders import CommitFolder, list_commits
from gmeta_worker.checkpoint.manifest import MANIFEST_NAME, Score
from gmeta_worker.checkpoint.object_path import Folder
from gmeta_worker.checkpoint.reader import Commit, open_commit, verify


def newest_valid(run_folder: Folder) -> tuple[Commit | None, tuple[str, ...]]:
    """Return the newest whole commit of a run, and a message for each damaged one that was skipped for it."""
    skipped: list[str] = []
    for folder in list_commits(run_folder):
        try:
            commit = _open_in_place(folder)
            verify(commit)
        except CheckpointError as error:
            skipped.append(f"skipped a damaged commit: {error}")
        else:
            return commit, tuple(skipped)
    return None, tuple(skipped)


def require_newest(run_folder: Folder) -> tuple[Commit, tuple[str, ...]]:
    """Return what `newest_valid` returns, but raise CheckpointError when there is no whole commit."""
    commit, skipped = newest_valid(run_folder)
    if commit is None:
        found = "".join(f"\n  {message}" for message in skipped)
        raise CheckpointError(f"{run_folder}: no commit to read; train first, or give the folder of a run{found}")
    return commit, skipped


def best(run_folder: Folder) -> Commit | None:
    """Return the commit with the best evaluation, the newer one on a tie; unreadable ones do not count."""
    chosen: Commit | None = None
    for folder in list_commits(run_folder):
        commit = _readable(folder)
        if commit and _score(commit) and (chosen is None or _beats(_score(commit), _score(chosen))):
            chosen = commit
    return chosen


def delivered(folder: Folder) -> Commit:
    """Return what a run delivers: its best commit, else its newest one; a commit's own folder names that commit.

    Raises:
        CheckpointError: there is no whole commit.
    """
    if (folder / MANIFEST_NAME).exists():
        return open_commit(folder)
    return best(folder) or require_newest(folder)[0]


def _open_in_place(folder: CommitFolder) -> Commit:
    commit = open_commit(folder.path)
    if commit.manifest.position != (folder.attempt, folder.step):
        attempt, step = commit.manifest.position
        raise CheckpointError(
            f"{folder.path}: its manifest is that of attempt {attempt}, step {step}: the folder was copied or renamed"
        )
    return commit


def _readable(folder: CommitFolder) -> Commit | None:
    try:
        return _open_in_place(folder)
    except CheckpointError:
        return None


def _score(commit: Commit) -> Score | None:
    return commit.manifest.evaluation


def _beats(challenger: Score | None, holder: Score | None) -> bool:
    """Tell whether a score beats another one of the same metric; different metrics cannot be compared."""
    if challenger is None or holder is None or challenger.metric != holder.metric:
        return False
    return challenger.better_than(holder)
