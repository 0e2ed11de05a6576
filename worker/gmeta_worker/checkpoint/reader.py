"""Reading one commit. Needs no process group and no running job; nothing is ever unpickled."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import xxhash
from numpy.typing import NDArray
from torch import Tensor

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint.folders import list_commits
from gmeta_worker.checkpoint.manifest import MANIFEST_NAME, CommitManifest, FileEntry
from gmeta_worker.checkpoint.parse import parse_manifest

READ_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Commit:
    """A commit on disk: its manifest and its absolute folder."""

    manifest: CommitManifest
    folder: Path


@dataclass(frozen=True)
class LoadedCommit:
    """The state in a commit; row groups are read one at a time, when they are asked for."""

    commit: Commit
    dense: dict[str, Tensor]
    vocabularies: dict[str, NDArray[np.int64]]

    @property
    def manifest(self) -> CommitManifest:
        """The commit's manifest."""
        return self.commit.manifest

    def row_groups(self) -> Iterator[tuple[int, int, dict[str, Tensor]]]:
        """Yield (lo, hi, tensors) for every group of virtual blocks [lo, hi).

        Raises:
            CheckpointError: a file is missing or damaged.
        """
        for file in self.manifest.files:
            if file.blocks is not None:
                yield *file.blocks, load_tensors(self.commit, file)


def open_commit(folder: Path) -> Commit:
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


def _not_a_commit(folder: Path) -> str:
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
        digest, size = xxhash.xxh3_64(), 0
        for piece in _pieces(commit.folder / file.path):
            digest.update(piece)
            size += len(piece)
        _require_intact(commit.folder / file.path, file, size, digest.hexdigest())


def load_commit(commit: Commit) -> LoadedCommit:
    """Load the dense state and the vocabularies of a commit; its row groups follow on demand.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    dense: dict[str, Tensor] = {}
    keys: dict[str, Tensor] = {}
    for file in commit.manifest.files:
        if file.kind == "dense":
            dense = load_tensors(commit, file)
        elif file.kind == "vocabulary":
            keys = load_tensors(commit, file)
    return LoadedCommit(commit, dense, {name: tensor.numpy() for name, tensor in keys.items()})


def load_tensors(commit: Commit, file: FileEntry) -> dict[str, Tensor]:
    """Load one file of a commit, checked against its checksum.

    Raises:
        CheckpointError: the file is missing, truncated, altered or no safetensors file.
    """
    path = commit.folder / file.path
    data = b"".join(_pieces(path))
    _require_intact(path, file, len(data), xxhash.xxh3_64_hexdigest(data))
    try:
        return safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: is not a safetensors file ({error})") from error


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(READ_BYTES):
                yield piece
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: is missing") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error


def _require_intact(path: Path, file: FileEntry, size: int, digest: str) -> None:
    if size != file.bytes:
        raise CheckpointError(f"{path}: has {size} bytes, the manifest says {file.bytes}")
    if digest != file.xxh3:
        raise CheckpointError(f"{path}: has checksum {digest}, the manifest says {file.xxh3}: its content was altered")
