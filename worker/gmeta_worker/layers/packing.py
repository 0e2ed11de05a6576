"""Samples of several tasks, one task after another, and how their rows lie in tiles."""

import numpy as np
import torch
from torch import Tensor

from gmeta_worker.layers.tiles import Ints, TileLayout, TilePairs, make_layout, make_pairs, tile_height


class Packing:
    """Samples of several tasks; makes each tile plan once, for all layers and inner steps.

    A layer may see a fixed number of rows for every sample ([n, fields, width]); each such number has its own layout.

    Args:
        lengths: int64[T], samples of each task.
        device: where the samples are.

    Attributes:
        lengths: the same.
        samples: n, their sum.
    """

    def __init__(self, lengths: Ints, device: torch.device) -> None:
        self.lengths = lengths
        self.samples = int(lengths.sum())
        self._device = device
        self._layouts: dict[int, TileLayout] = {}
        self._row_tasks: dict[int, Tensor] = {}
        self._pairs: dict[tuple[Packing | None, int, int], TilePairs] = {}

    @classmethod
    def of(cls, task: Tensor, tasks: int) -> "Packing":
        """The packing of samples whose tasks are `task`, int64[n] ascending in [0, tasks)."""
        return cls(np.bincount(task.cpu().numpy(), minlength=tasks).astype(np.int64), task.device)

    def row_task(self, per_sample: int) -> Tensor:
        """int64[n * per_sample], the task of each row."""
        if per_sample not in self._row_tasks:
            tasks = np.repeat(np.arange(len(self.lengths)), self.lengths * per_sample)
            self._row_tasks[per_sample] = torch.from_numpy(tasks).to(self._device)
        return self._row_tasks[per_sample]

    def layout(self, per_sample: int) -> TileLayout:
        """The tiles of `per_sample` rows a sample."""
        if per_sample not in self._layouts:
            lengths = self.lengths * per_sample
            self._layouts[per_sample] = make_layout(lengths, tile_height(lengths), self._device)
        return self._layouts[per_sample]

    def pairs(self, right: "Packing", per_left: int, per_right: int) -> TilePairs:
        """Tiles of this packing (left) with those of `right` of the same task."""
        key = (None if right is self else right, per_left, per_right)  # a cycle would outlive the step
        if key not in self._pairs:
            self._pairs[key] = make_pairs(self.layout(per_left), right.layout(per_right), self._device)
        return self._pairs[key]
