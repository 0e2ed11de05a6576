"""Loading the tensors of a commit. Needs no process group and no running job; nothing is ever unpickled."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import safetensors
import safetensors.torch
import xxhash
from numpy.typing import NDArray
from torch import Tensor

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint.manifest import CommitManifest, FileEntry
from gmeta_worker.checkpoint.object_path import Folder
from gmeta_worker.checkpoint.reader import Commit, read_pieces, require_intact


@dataclass(frozen=True)
class LoadedCommit:
    """The state in a commit; rows are read one file at a time, when they are asked for."""

    commit: Commit
    dense: dict[str, Tensor]
    vocabularies: dict[str, NDArray[np.int64]]

    @property
    def manifest(self) -> CommitManifest:
        """The commit's manifest."""
        return self.commit.manifest

    def row_groups(self, owned: range | None = None) -> Iterator[tuple[int, int, dict[str, Tensor]]]:
        """Yield (lo, hi, tensors) for the virtual blocks [lo, hi) of every file that has some of the wanted ones.

        Whoever wrote the files, and however many there were: only the files that hold wanted blocks are read, and of
        a file that holds others too only the wanted blocks are kept.

        Args:
            owned: the wanted blocks; all of them where none are given.

        Raises:
            CheckpointError: a file is missing or damaged.
        """
        wanted = range(self.manifest.layout.blocks) if owned is None else owned
        for file in sorted(self.manifest.files, key=lambda file: file.blocks or (0, 0)):
            if file.blocks is None:
                continue
            lo, hi = max(file.blocks[0], wanted.start), min(file.blocks[1], wanted.stop)
            if (lo, hi) == file.blocks:
                yield lo, hi, load_tensors(self.commit, file)
            elif lo < hi:
                yield lo, hi, _load_blocks(self.commit, file, file.blocks, lo, hi)


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
    vocabularies = {name: tensor.numpy() for name, tensor in keys.items()}
    _require_keys(commit, vocabularies)
    return LoadedCommit(commit, dense, vocabularies)


def _require_keys(commit: Commit, vocabularies: Mapping[str, NDArray[np.int64]]) -> None:
    """Every exact vocabulary has the sorted keys of its table's rows; row 0 has none."""
    for name, table in commit.manifest.layout.tables.items():
        if table.vocabulary != "exact":
            continue
        keys = vocabularies.get(name, np.zeros(0, dtype=np.int64))
        if len(keys) != table.rows - 1 or np.any(keys[1:] <= keys[:-1]):
            raise CheckpointError(
                f"{commit.folder}: table '{name}' has {table.rows} rows, so its vocabulary needs {table.rows - 1} "
                f"sorted keys, and has {len(keys)}{'' if len(keys) != table.rows - 1 else ' in another order'}"
            )


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


def _load_blocks(commit: Commit, file: FileEntry, held: tuple[int, int], lo: int, hi: int) -> dict[str, Tensor]:
    """Load a file of the blocks `held`, which is checked whole, and keep the virtual blocks [lo, hi)."""
    path = commit.folder / file.path
    return {name: _blocks(path, name, tensor, held, lo, hi) for name, tensor in load_tensors(commit, file).items()}


def _blocks(path: Folder, name: str, tensor: Tensor, held: tuple[int, int], lo: int, hi: int) -> Tensor:
    shape, blocks = list(tensor.shape), held[1] - held[0]
    if not shape or shape[0] % blocks:
        raise CheckpointError(f"{path}: tensor '{name}' has shape {shape}, expected the rows of {blocks} blocks")
    rows = shape[0] // blocks
    return tensor[(lo - held[0]) * rows : (hi - held[0]) * rows].clone()  # the file's memory goes
