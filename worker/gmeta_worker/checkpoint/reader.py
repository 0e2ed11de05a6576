"""Opening and checking one commit, without loading its tensors."""

from collections.abc import Iterator
from dataclasses import dataclass

import xxhash

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint.folders import list_commits
from gmeta_worker.checkpoint.manifest import MANIFEST_NAME, CommitManifest, FileEntry
from gmeta_worker.checkpoint.object_path import Folder, ObjectPath
from gmeta_worker.checkpoint.parse import parse_manifest

READ_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Commit:
    """A commit on disk: its manifest and its absolute folder."""

    manifest: CommitManifest
    folder: Folder


def open_commit(folder: Folder) -> Commit:
    """Read the manifest of the commit in `folder`; its other files are only checked when they are read.

    Raises:
        CheckpointError: the folder is no commit, or its manifest is unreadable or of an unknown version.
    """
    path = folder / MANIFEST_NAME
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; give a commit's folder, like RUN/a0/s500")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(_not_a_commit(folder)) from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    return Commit(parse_manifest(path, data), folder.absolute())


def _not_a_commit(folder: Folder) -> str:
    if commits := list_commits(folder):
        return f"{folder}: is a run folder, not a commit; name one of its commits, like {commits[0].path}"
    return (
        f"{folder}: holds no {MANIFEST_NAME}, so it is no commit but a half-written one or another folder; "
        "give a commit's folder, like RUN/a0/s500"
    )


def verify(commit: Commit) -> None:
    """Read every file of the commit against its size and checksum.

    Raises:
        CheckpointError: names the first file that is missing, truncated or altered.
    """
    for file in commit.manifest.files:
        require_whole(commit.folder / file.path, file)


def require_whole(path: Folder, file: FileEntry) -> None:
    """Read the file at `path` against the size and checksum of its entry.

    Raises:
        CheckpointError: it is missing, truncated or altered.
    """
    digest, size = xxhash.xxh3_64(), 0
    for piece in read_pieces(path):
        digest.update(piece)
        size += len(piece)
    require_intact(path, file, size, digest.hexdigest())


def read_pieces(path: Folder) -> Iterator[bytes]:
    """Yield the bytes of a commit's file, a few MiB at a time.

    Raises:
        CheckpointError: the file is missing or cannot be read.
    """
    try:
        if isinstance(path, ObjectPath):
            yield from path.read_pieces(READ_BYTES)
            return
        with path.open("rb") as file:
            while piece := file.read(READ_BYTES):
                yield piece
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: is missing") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error


def require_intact(path: Folder, file: FileEntry, size: int, digest: str) -> None:
    """Raise CheckpointError unless size and checksum of the file at `path` are those of its entry."""
    if size != file.bytes:
        raise CheckpointError(f"{path}: has {size} bytes, the manifest says {file.bytes}")
    if digest != file.xxh3:
        raise CheckpointError(f"{path}: has checksum {digest}, the manifest says {file.xxh3}: its content was altered")
