"""Products between the rows of the same task, over ragged tasks packed one after another.

The inner loop needs, for every row of one side, a weighted sum over its task's rows of the other side. Tasks differ in
size, so both sides are cut into *tiles* that never span two tasks, and only tiles of the same task are multiplied: the
work grows with the sum over tasks of (left rows x right rows), and one long task does not make the others pay. Built of
index, add and bmm only, hence differentiable any number of times. The rows that a tile misses are zero, which on the
right stands in for a mask; on the left they are dropped again.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Ints = NDArray[np.int64]

CUT_HEIGHT = 16


@dataclass(frozen=True)
class TileLayout:
    """How packed rows lie in tiles.

    Attributes:
        rows: n, the packed rows.
        height: B, the rows of a tile.
        tasks: int64[tiles], the task of each tile, ascending.
        owners: the same as a tensor; None if tile t is that of task t, for all tasks.
        slots: int64[n], where each row lies among the tiles' rows; None if the rows fill the tiles just as they are.
    """

    rows: int
    height: int
    tasks: Ints
    owners: Tensor | None
    slots: Tensor | None

    def tile(self, packed: Tensor) -> Tensor:
        """[n, width] -> [tiles, B, width]; missing rows are zero."""
        if self.slots is not None:
            packed = packed.new_zeros(len(self.tasks) * self.height, packed.shape[1]).index_copy(0, self.slots, packed)
        return packed.view(len(self.tasks), self.height, packed.shape[1])

    def untile(self, tiles: Tensor) -> Tensor:
        """[tiles, B, width] -> [n, width]; the inverse of `tile`."""
        flat = tiles.flatten(0, 1)
        return flat if self.slots is None else flat.index_select(0, self.slots)

    def of_tasks(self, values: Tensor) -> Tensor:
        """What each tile's task has: [T, ...] -> [tiles, ...]."""
        return values if self.owners is None else values.index_select(0, self.owners)

    def plus_by_task(self, values: Tensor, added: Tensor) -> Tensor:
        """What each task has, and what its tiles add: [T, ...] and [tiles, ...] -> [T, ...]."""
        return values + added if self.owners is None else values.index_add(0, self.owners, added)


@dataclass(frozen=True)
class TilePairs:
    """Every pair of a left and a right tile of the same task.

    Attributes:
        left: layout of the rows that receive.
        right: layout of the rows that are summed over.
        index: int64[pairs] left and int64[pairs] right tile of each pair; None if tile p goes with tile p, for every p.
    """

    left: TileLayout
    right: TileLayout
    index: tuple[Tensor, Tensor] | None

    def plus_product(
        self, h: Tensor, x: Tensor, right: Tensor, values: Tensor, scale: Tensor, constant: float
    ) -> Tensor:
        """For each left row l, h_l + scale * the sum over its task's right rows r of (x_l . r + constant) * value_r.

        Args:
            h: [n, out], packed like the left side.
            x: [n, width], likewise.
            right: [right tiles, R, width]; R is the right height, or a multiple where several steps lie side by side.
            values: [right tiles, R, out]; zero where `right` has no row.
            scale: [T].
            constant: added to every dot product.

        Returns:
            [n, out]; `h` for rows of a task without right rows.
        """
        left, scale = self.left.tile(x), self.left.of_tasks(scale).view(-1, 1, 1)
        if self.index is None:
            weights = _weights(left, right, scale, constant)
            if self.left.slots is None:
                return torch.baddbmm(self.left.tile(h), weights, values).flatten(0, 1)
            return h + self.left.untile(torch.bmm(weights, values))
        pick_left, pick_right = self.index
        weights = _weights(
            left.index_select(0, pick_left),
            right.index_select(0, pick_right),
            scale.index_select(0, pick_left),
            constant,
        )
        sums = torch.bmm(weights, values.index_select(0, pick_right))
        total = sums.new_zeros(len(self.left.tasks), *sums.shape[1:])
        return h + self.left.untile(total.index_add(0, pick_left, sums))


def _weights(left: Tensor, right: Tensor, scale: Tensor, constant: float) -> Tensor:
    """What each right row counts for each left row: [tiles, L, width] and [tiles, R, width] -> [tiles, L, R]."""
    dots = torch.bmm(left, right.transpose(1, 2))
    return torch.addcmul(constant * scale, dots, scale) if constant else dots * scale


def tile_height(lengths: Ints) -> int:
    """Rows of a tile for tasks of these lengths.

    One tile a task needs no pairing at all and is fastest while it at most doubles the rows; beyond that (a few long
    tasks among short ones) the long ones are cut.
    """
    longest = max(int(lengths.max(initial=0)), 1)
    padded = longest * int(np.count_nonzero(lengths))
    return longest if padded <= 2 * int(lengths.sum()) else min(longest, CUT_HEIGHT)


def make_layout(lengths: Ints, height: int, device: torch.device) -> TileLayout:
    """Lay tasks of `lengths` rows, packed in order, into tiles of `height` rows."""
    tiles = -(-lengths // height)
    rows = int(lengths.sum())
    tasks = np.repeat(np.arange(len(lengths)), tiles)
    owners = None if np.array_equal(tiles, np.ones_like(tiles)) else torch.from_numpy(tasks).to(device)
    if rows == len(tasks) * height:
        return TileLayout(rows, height, tasks, owners, None)
    first_slot = (np.cumsum(tiles) - tiles) * height
    first_row = np.cumsum(lengths) - lengths
    slots = np.repeat(first_slot - first_row, lengths) + np.arange(rows)
    return TileLayout(rows, height, tasks, owners, torch.from_numpy(slots).to(device))


def make_pairs(left: TileLayout, right: TileLayout, device: torch.device) -> TilePairs:
    """Join each left tile with all right tiles of its task."""
    if np.array_equal(left.tasks, right.tasks) and np.all(np.diff(left.tasks)):
        return TilePairs(left, right, None)
    begin = np.searchsorted(right.tasks, left.tasks, side="left")
    partners = np.searchsorted(right.tasks, left.tasks, side="right") - begin
    pick_left = np.repeat(np.arange(len(left.tasks)), partners)
    pick_right = np.repeat(begin - (np.cumsum(partners) - partners), partners) + np.arange(len(pick_left))
    return TilePairs(left, right, (torch.from_numpy(pick_left).to(device), torch.from_numpy(pick_right).to(device)))
