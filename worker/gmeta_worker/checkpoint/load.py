"""Loading the tensors of a commit. Needs no process group and no running job; nothing is ever unpickled."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import safetensors
import safetensors.torch
import xxhash
from numpy.typing import NDArray
from torch import Tensor

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint.manifest import CommitManifest, FileEntry
from gmeta_worker.checkpoint.reader import Commit, read_pieces, require_intact


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
    data = b"".join(read_pieces(path))
    require_intact(path, file, len(data), xxhash.xxh3_64_hexdigest(data))
    try:
        return safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: is not a safetensors file ({error})") from error
