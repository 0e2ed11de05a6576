"""Starting from another run's commit: what it has learned goes on, in tables that may have grown since."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint import Layout, LoadedCommit, delivered, load_commit, open_commit
from gmeta_worker.checkpoint.manifest import MANIFEST_NAME, commit_folder
from gmeta_worker.checkpoint.object_path import Folder
from gmeta_worker.embedding import BlockLayout
from gmeta_worker.parallel import Group, broadcast
from gmeta_worker.training.commits import restore_model, restore_optimizer
from gmeta_worker.training.components import Components
from gmeta_worker.training.dense_optimizer import DenseOptimizer

Ints = NDArray[np.int64]
_WEIGHTS = "weights"


def open_origin(folder: Folder, group: Group) -> LoadedCommit:
    """Load what a run delivers, or the commit in `folder`: the same one on every rank, though the run may go on.

    Raises:
        CheckpointError: there is no whole commit.
    """
    if (folder / MANIFEST_NAME).exists():
        return load_commit(open_commit(folder))
    chosen = delivered(folder).manifest.position if group.rank == 0 else (0, 0)
    attempt, step = broadcast(group, torch.tensor(chosen)).tolist()
    return load_commit(open_commit(folder / commit_folder(attempt, step)))


def grown_keys(keys: Mapping[str, Ints], origin: LoadedCommit) -> dict[str, Ints]:
    """The keys of this job's vocabularies with those that the origin knows: what was learned of them is kept."""
    return {name: np.union1d(known, origin.vocabularies.get(name, known)) for name, known in keys.items()}


def take_over(
    origin: LoadedCommit, parts: Components, layout: Layout, optimizer: DenseOptimizer, *, with_state: bool
) -> None:
    """Put the origin's model, and those of its rows that this rank holds, into `parts`.

    Rows find their places by key, so every table may have more keys than the origin's. Rows of new keys, and tables
    that the origin does not have, keep their initial values; tables that only the origin has are left behind.

    Args:
        origin: another run's commit.
        parts: built with `grown_keys`.
        layout: of `parts`.
        optimizer: of the dense weights.
        with_state: whether the optimisers' state comes too.

    Raises:
        CheckpointError: the origin does not fit, with the difference; or a file of it is damaged.
    """
    _require_fit(origin, layout)
    restore_model(origin, parts.model)
    if with_state:
        restore_optimizer(origin, optimizer)
    for ids, tensors in _rows(origin, parts):
        try:
            parts.store.import_rows(ids, tensors if with_state else _only_weights(origin, tensors))
        except CheckpointError as error:
            raise CheckpointError(
                f"{origin.commit.folder}: {error}, or set spec.training.initFrom.optimizer to false"
            ) from error


def _require_fit(origin: LoadedCommit, wanted: Layout) -> None:
    found = origin.manifest.layout
    compared = [name for name in wanted.tables if name in found.tables and not _may_grow(found, wanted, name)]

    def of_compared(layout: Layout) -> Layout:
        return layout.model_copy(update={"tables": {name: layout.tables[name] for name in compared}})

    if difference := of_compared(found).difference(of_compared(wanted)):
        raise CheckpointError(
            f"{origin.commit.folder}: this job cannot start from it: {difference}; an exact vocabulary may grow, all "
            "else must be the same: change spec.model, or remove spec.training.initFrom"
        )


def _may_grow(found: Layout, wanted: Layout, name: str) -> bool:
    return found.tables[name].vocabulary == wanted.tables[name].vocabulary == "exact"


def _rows(origin: LoadedCommit, parts: Components) -> Iterator[tuple[Ints, dict[str, Tensor]]]:
    """The origin's rows that this rank holds: their ids here, and their tensors."""
    layout = BlockLayout({name: table.rows for name, table in origin.manifest.layout.tables.items()})
    for lo, hi, tensors in origin.row_groups():
        _require_rows(origin, lo, hi, tensors, (hi - lo) * layout.pages)
        number, row = layout.located(np.arange(lo * layout.pages, hi * layout.pages))
        for table, name in enumerate(layout.tables):
            if name in parts.vocabularies:
                there = np.flatnonzero(number == table)
                ids = parts.store.row_ids(name, _rows_here(origin, parts, name, row[there]))
                own = parts.store.owns(ids)
                picked = torch.from_numpy(there[own])
                yield ids[own], {key: tensor.index_select(0, picked) for key, tensor in tensors.items()}


def _rows_here(origin: LoadedCommit, parts: Components, table: str, rows: Ints) -> Ints:
    """Rows of this job's table for the same keys; row 0 stands for all keys that are not known."""
    keys = origin.vocabularies.get(table)
    if keys is None:
        return rows
    of_rows = np.concatenate([[0], keys])[rows]
    return np.where(rows == 0, 0, parts.vocabularies[table].index(of_rows))


def _require_rows(origin: LoadedCommit, lo: int, hi: int, tensors: Mapping[str, Tensor], rows: int) -> None:
    for name, tensor in tensors.items():
        if tensor.dim() != 2 or len(tensor) != rows:
            raise CheckpointError(
                f"{origin.commit.folder}: blocks {lo}..{hi}: tensor '{name}': expected {rows} rows, received shape "
                f"{list(tensor.shape)}; the commit's tables are not those of its manifest"
            )


def _only_weights(origin: LoadedCommit, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if _WEIGHTS not in tensors:
        raise CheckpointError(f"{origin.commit.folder}: a file of rows holds no tensor '{_WEIGHTS}'")
    return {_WEIGHTS: tensors[_WEIGHTS]}
