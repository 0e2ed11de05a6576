"""A rank's side of a commit: tensors to files. The files mean nothing until the coordinator commits them."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gmeta_worker.checkpoint.files import sync_folder
from gmeta_worker.checkpoint.manifest import FileEntry, Layout, commit_folder
from gmeta_worker.checkpoint.object_path import Folder
from gmeta_worker.checkpoint.tensor_file import write_tensors

GROUP_BYTES = 64 * 2**20

RowExport = Callable[[int, int], Mapping[str, Tensor]]


class CommitWriter:
    """Writes a rank's state under `<run folder>/a<attempt>/s<step>/`.

    File names carry the generation and the blocks, so that neither a process of an older generation that is still
    writing nor another rank can ever touch the files of a commit.

    Args:
        run_folder: the job's folder on the checkpoint volume.
        attempt: the job's current attempt.
        generation: the generation of the rank's round.
        layout: width, blocks and tables of the embedding rows.
        owned: the virtual blocks that this rank holds; all of them where none are given.
    """

    def __init__(
        self, run_folder: Folder, attempt: int, generation: int, layout: Layout, owned: range | None = None
    ) -> None:
        self._run_folder = run_folder
        self._attempt = attempt
        self._generation = generation
        self._groups = list(within(block_groups(layout), range(layout.blocks) if owned is None else owned))

    def write(
        self,
        step: int,
        dense: Mapping[str, Tensor] | None,
        rows: RowExport,
        vocabularies: Mapping[str, np.ndarray],
    ) -> list[FileEntry]:
        """Write one file per group of this rank's blocks, the dense state and the vocabularies, durably.

        Args:
            step: the global step that the state belongs to.
            dense: model parameters and dense optimiser state, any shapes; one rank of a round writes them, the others
                give None.
            rows: exports weights and optimiser state of the virtual blocks [lo, hi); called in ascending order.
            vocabularies: int64 keys of each exact vocabulary, in row order; likewise, the others give none.

        Returns:
            The entries that the coordinator puts into the commit manifest.

        Raises:
            CheckpointError: the folder cannot be written.
        """
        folder = self._run_folder / commit_folder(self._attempt, step)
        entries = []
        if dense is not None:
            entries.append(self._write(folder, "dense", "dense", dense))
        if vocabularies:
            keys = {name: torch.from_numpy(np.array(array)) for name, array in vocabularies.items()}
            entries.append(self._write(folder, "vocabulary", "vocabulary", keys))
        for lo, hi in self._groups:
            entries.append(self._write(folder, f"rows-{lo:04d}-{hi:04d}", "rows", rows(lo, hi), (lo, hi)))
        sync_folder(folder)
        return entries

    def _write(
        self,
        folder: Folder,
        stem: str,
        kind: Literal["rows", "dense", "vocabulary"],
        tensors: Mapping[str, Tensor],
        blocks: tuple[int, int] | None = None,
    ) -> FileEntry:
        name = f"{stem}.g{self._generation}.safetensors"
        written = write_tensors(folder / name, tensors)
        return FileEntry(path=name, kind=kind, blocks=blocks, bytes=written.bytes, xxh3=written.xxh3)


def block_groups(layout: Layout) -> list[tuple[int, int]]:
    """Split the virtual blocks into ranges [lo, hi) of about 64 MiB of float32 weights, at least one range."""
    weight_bytes = 4 * layout.dim * sum(table.rows for table in layout.tables.values())
    groups = min(layout.blocks, max(1, math.ceil(weight_bytes / GROUP_BYTES)))
    bounds = [layout.blocks * group // groups for group in range(groups + 1)]
    return list(itertools.pairwise(bounds))


def within(groups: list[tuple[int, int]], owned: range) -> Iterator[tuple[int, int]]:
    """The parts of `groups` that lie in `owned`."""
    for lo, hi in groups:
        start, stop = max(lo, owned.start), min(hi, owned.stop)
        if start < stop:
            yield start, stop
