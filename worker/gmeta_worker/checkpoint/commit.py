"""The coordinator's side of a commit: the manifest, written last, is the commit."""

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint.files import replace_durably, sync_folder
from gmeta_worker.checkpoint.folders import attempts, readable
from gmeta_worker.checkpoint.manifest import MANIFEST_NAME, CommitManifest
from gmeta_worker.checkpoint.object_path import Folder, ObjectPath

CLAIM_NAME = "claim.json"
"""What makes an attempt's folder in an object store, where there are no empty ones."""


def claim_attempt(run_folder: Folder, attempt: int) -> None:
    """Make `attempt` the run folder's current one; every older coordinator is fenced from then on.

    Raises:
        CheckpointError: a newer attempt already owns the run folder, or the folder cannot be written.
    """
    require_current(run_folder, attempt)
    folder = run_folder / f"a{attempt}"
    try:
        if isinstance(folder, ObjectPath):
            (folder / CLAIM_NAME).write_pieces(memoryview(b"{}"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
        sync_folder(run_folder)
    except OSError as error:
        raise CheckpointError(
            f"{folder}: cannot create the attempt's folder ({error.strerror}); fix the volume or its permissions"
        ) from error


def require_current(run_folder: Folder, attempt: int) -> None:
    """Raise CheckpointError when a newer attempt than `attempt` owns the run folder."""
    newest = max(attempts(run_folder), default=attempt)
    if newest > attempt:
        raise CheckpointError(
            f"{run_folder}: belongs to attempt {newest}; this coordinator runs attempt {attempt}, which is out of date "
            "and must stop"
        )


def publish(run_folder: Folder, manifest: CommitManifest) -> None:
    """Make the files that `manifest` lists a commit. Repeating it is harmless.

    Raises:
        CheckpointError: a newer attempt owns the run folder, a listed file is not on the volume with its size, or the
            manifest cannot be written.
    """
    require_current(run_folder, manifest.attempt)
    folder = run_folder / manifest.folder
    for file in manifest.files:
        path = folder / file.path
        with readable(path):
            found = path.stat().st_size if path.is_file() else None
        if found != file.bytes:
            state = "is missing" if found is None else f"has {found} bytes"
            raise CheckpointError(
                f"{path}: the worker wrote {file.bytes} bytes, on the coordinator's volume the file {state}; "
                "mount the same checkpoint volume in both"
            )
    replace_durably(folder / MANIFEST_NAME, manifest.model_dump_json(indent=1).encode())
    sync_folder(folder.parent)
