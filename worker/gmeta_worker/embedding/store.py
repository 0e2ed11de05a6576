"""The rows of all embedding tables with their optimiser's state, in one contiguous piece of memory a tensor."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gmeta_api.errors import CheckpointError
from gmeta_worker.embedding.blocks import BLOCKS, BlockLayout
from gmeta_worker.embedding.initial import initial_rows, zero_rows
from gmeta_worker.embedding.optimizers import RowOptimizer
from gmeta_worker.embedding.snapshot import Snapshot

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_WEIGHTS = "weights"


class RowStore:
    """Embedding rows, addressed by global id in the data path and by virtual block in checkpoints.

    The data path has two verbs, `lookup` and `update`. Plain gather and scatter: on CPUs they beat FBGEMM's unpooled
    lookups.

    Args:
        tables: rows of each table.
        dim: width of a row.
        optimizer: of the rows.
        seed: of the initial rows, which depend on it, the table, the row and the column only.
        dtype: of rows and optimiser state.
        device: where they are.
        owned: the virtual blocks that this store holds.

    Attributes:
        layout: where the rows of all tables lie, whoever holds them.
    """

    def __init__(
        self,
        tables: Mapping[str, int],
        dim: int,
        optimizer: RowOptimizer,
        seed: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
        owned: range = range(BLOCKS),
    ) -> None:
        self.layout = BlockLayout(dict(tables))
        self._owned = owned
        self._optimizer = optimizer
        ids = range(owned.start * self.layout.pages, owned.stop * self.layout.pages)
        self._first_id = ids.start
        weights = initial_rows(self.layout, ids, dim, seed, dtype).to(device)
        state = {
            name: zero_rows(len(ids), width, dtype).to(device) for name, width in optimizer.state_widths(dim).items()
        }
        self._tensors = {_WEIGHTS: weights, **state}
        self._snapshot: Snapshot | None = None

    def row_ids(self, table: str, rows: Ints) -> Ints:
        """Global ids of a table's rows."""
        return self.layout.ids(table, rows)

    def lookup(self, ids: Tensor) -> Tensor:
        """A copy of the rows of `ids`, int64[U] -> [U, dim], outside of any graph."""
        return _taken(self._tensors[_WEIGHTS], ids - self._first_id)

    def update(self, ids: Tensor, grads: Tensor, rate: float) -> None:
        """One optimiser step for each row.

        Args:
            ids: int64[U], unique.
            grads: [U, dim].
            rate: learning rate.

        Raises:
            ValueError: an id is repeated: its gradients must be added up first, since a stateful optimiser takes one
                step a row.
        """
        _require_unique(ids)
        places = ids - self._first_id
        weights = self._tensors[_WEIGHTS]
        state = {name: _taken(tensor, places) for name, tensor in self._tensors.items() if name != _WEIGHTS}
        if self._snapshot is not None:
            self._snapshot.save(places, {_WEIGHTS: _taken(weights, places), **state})
        weights.index_add_(0, places, self._optimizer.change(grads, state, rate, partial(_taken, weights, places)))
        for name, rows in state.items():
            self._tensors[name].index_copy_(0, places, rows)

    def blocks(self) -> range:
        """The virtual blocks that this store holds."""
        return self._owned

    def export_blocks(self, lo: int, hi: int) -> dict[str, Tensor]:
        """Copies of the rows and the optimiser state of virtual blocks lo..hi: name -> [ids, width]."""
        return {name: tensor[self._slice(lo, hi)].clone() for name, tensor in self._tensors.items()}

    def snapshot(self) -> Snapshot:
        """The rows and the optimiser state as they are now, for another thread to export while updates go on.

        Raises:
            RuntimeError: the last one has not been closed.
        """
        if self._snapshot is not None:
            raise RuntimeError("a store has one snapshot at a time; close the last one first")
        self._snapshot = Snapshot(self._tensors, self._slice, self._forget_snapshot)
        return self._snapshot

    def _forget_snapshot(self) -> None:
        self._snapshot = None

    def import_blocks(self, lo: int, hi: int, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `export_blocks(lo, hi)` of a store of the same tables gave; never beside an open snapshot.

        Raises:
            CheckpointError: a tensor is missing, unknown or of another shape; nothing has been taken over then.
        """
        assert self._snapshot is None, "a snapshot would not see these rows change"
        places = self._slice(lo, hi)
        if tensors.keys() != self._tensors.keys():
            raise CheckpointError(
                f"blocks {lo}..{hi}: expected the tensors {', '.join(sorted(self._tensors))}, received "
                f"{', '.join(sorted(tensors)) or 'none'}; the sparse optimiser must be that of the checkpoint"
            )
        for name, own in self._tensors.items():
            if tensors[name].shape != own[places].shape:
                raise CheckpointError(
                    f"blocks {lo}..{hi}: tensor '{name}': expected shape {list(own[places].shape)}, received "
                    f"{list(tensors[name].shape)}; tables and embeddingDim must be those of the checkpoint"
                )
        for name, own in self._tensors.items():
            own[places] = tensors[name].to(own)

    def owns(self, ids: Ints) -> Bools:
        """Which of the global ids this store holds."""
        return (ids >= self._first_id) & (ids < self._first_id + len(self._tensors[_WEIGHTS]))

    def import_rows(self, ids: Ints, tensors: Mapping[str, Tensor]) -> None:
        """Take over single rows of another store's export, all of its tensors or some of them.

        Args:
            ids: global ids that this store owns, unique.
            tensors: name -> [len(ids), width].

        Raises:
            CheckpointError: a tensor is unknown or of another shape; nothing has been taken over then.
        """
        assert self._snapshot is None, "a snapshot would not see these rows change"
        for name, tensor in sorted(tensors.items()):
            own = self._tensors.get(name)
            if own is None or tensor.shape != (len(ids), own.shape[1]):
                expected = "no such tensor" if own is None else f"shape {[len(ids), own.shape[1]]}"
                raise CheckpointError(
                    f"tensor '{name}' of the rows: expected {expected}, received shape {list(tensor.shape)}; "
                    "embeddingDim and the sparse optimiser must be those of the checkpoint"
                )
        places = torch.from_numpy(ids - self._first_id).to(self._tensors[_WEIGHTS].device)
        for name, tensor in tensors.items():
            self._tensors[name].index_copy_(0, places, tensor.to(self._tensors[name]))

    def _slice(self, lo: int, hi: int) -> slice:
        if not self._owned.start <= lo <= hi <= self._owned.stop:
            raise IndexError(f"expected blocks within {self._owned.start}..{self._owned.stop}, received {lo}..{hi}")
        pages = self.layout.pages
        return slice(lo * pages - self._first_id, hi * pages - self._first_id)


def _taken(tensor: Tensor, places: Tensor) -> Tensor:
    """A copy of the rows at `places`. Single numbers are taken from a flat view: a third of the time."""
    if tensor.shape[1] == 1:
        return tensor.view(-1).index_select(0, places)[:, None]
    return tensor.index_select(0, places)


def _require_unique(ids: Tensor) -> None:
    ordered = ids if bool((ids[1:] > ids[:-1]).all()) else ids.sort().values
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated):
        raise ValueError(
            f"ids: expected unique ids, received {int(repeated[0])} more than once; add up its gradients first"
        )
