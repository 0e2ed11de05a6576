"""The worker's side of a commit: tensors to files. The files mean nothing until the coordinator commits them."""

import itertools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import safetensors.torch
import torch
import xxhash
from torch import Tensor

from gmeta_worker.checkpoint.files import sync_folder, write_durably
from gmeta_worker.checkpoint.manifest import FileEntry, Layout, commit_folder

GROUP_BYTES = 64 * 2**20

RowExport = Callable[[int, int], Mapping[str, Tensor]]


class CommitWriter:
    """Writes a worker's state under `<run folder>/a<attempt>/s<step>/`.

    File names carry the generation, so that a process of an older generation that is still writing can never touch
    the files of a commit.

    Args:
        run_folder: the job's folder on the checkpoint volume.
        attempt: the job's current attempt.
        generation: the generation of the coordinator's Welcome.
        layout: width, blocks and tables of the embedding rows.
    """

    def __init__(self, run_folder: Path, attempt: int, generation: int, layout: Layout) -> None:
        self._run_folder = run_folder
        self._attempt = attempt
        self._generation = generation
        self._groups = block_groups(layout)

    def write(
        self, step: int, dense: Mapping[str, Tensor], rows: RowExport, vocabularies: Mapping[str, np.ndarray]
    ) -> list[FileEntry]:
        """Write one file per group of virtual blocks, the dense state and the vocabularies, durably.

        Args:
            step: the global step that the state belongs to.
            dense: model parameters and dense optimiser state, any shapes.
            rows: exports weights and optimiser state of the virtual blocks [lo, hi).
            vocabularies: int64 keys of each exact vocabulary, in row order.

        Returns:
            The entries that the coordinator puts into the commit manifest.

        Raises:
            CheckpointError: the folder cannot be written.
        """
        folder = self._run_folder / commit_folder(self._attempt, step)
        keys = {name: torch.from_numpy(np.array(array)) for name, array in vocabularies.items()}
        entries = [self._write(folder, "dense", "dense", dense)]
        if keys:
            entries.append(self._write(folder, "vocabulary", "vocabulary", keys))
        for lo, hi in self._groups:
            entries.append(self._write(folder, f"rows-{lo:04d}-{hi:04d}", "rows", rows(lo, hi), (lo, hi)))
        sync_folder(folder)
        return entries

    def _write(
        self,
        folder: Path,
        stem: str,
        kind: Literal["rows", "dense", "vocabulary"],
        tensors: Mapping[str, Tensor],
        blocks: tuple[int, int] | None = None,
    ) -> FileEntry:
        data = safetensors.torch.save({name: _own(tensor) for name, tensor in tensors.items()})
        name = f"{stem}.g{self._generation}.safetensors"
        write_durably(folder / name, data)
        return FileEntry(path=name, kind=kind, blocks=blocks, bytes=len(data), xxh3=xxhash.xxh3_64_hexdigest(data))


def _own(tensor: Tensor) -> Tensor:
    """Return a copy in memory of its own: the file format knows no tied weights and no strides."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def block_groups(layout: Layout) -> list[tuple[int, int]]:
    """Split the virtual blocks into ranges [lo, hi) of about 64 MiB of float32 weights, at least one range."""
    weight_bytes = 4 * layout.dim * sum(table.rows for table in layout.tables.values())
    groups = min(layout.blocks, max(1, math.ceil(weight_bytes / GROUP_BYTES)))
    bounds = [layout.blocks * group // groups for group in range(groups + 1)]
    return list(itertools.pairwise(bounds))
