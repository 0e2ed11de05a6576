"""The support policy: where training cuts a task batch into support and query. It is chosen at read time."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gmeta_worker.metaio.mixing import Purpose, draw


@dataclass(frozen=True)
class SupportPolicy:
    """Which rows of a task batch are its support set.

    Attributes:
        policy: How many. ``fixed`` takes ``size`` rows, ``uniform`` draws from ``min``..``max`` anew each epoch,
            ``column`` takes every row that the support order ranked.
        size: Support rows of a ``fixed`` policy.
        min: Smallest draw of a ``uniform`` policy.
        max: Largest draw of a ``uniform`` policy, included.
        drawn: Whether support rows are drawn from all that may be support, anew each epoch; else they are the first.
    """

    policy: Literal["fixed", "uniform", "column"]
    size: int | None = None
    min: int | None = None
    max: int | None = None
    drawn: bool = False

    def __post_init__(self) -> None:
        if self.policy == "fixed" and (self.size is None or self.size < 0):
            raise ValueError(f"a fixed support policy needs size >= 0, received {self.size}")
        if self.policy == "uniform" and (self.min is None or self.max is None or not 0 <= self.min <= self.max):
            raise ValueError(f"a uniform support policy needs 0 <= min <= max, received min={self.min}, max={self.max}")

    def sizes(
        self,
        rows: NDArray[np.int64],
        ranked: NDArray[np.int64],
        positions: NDArray[np.int64],
        *,
        seed: int,
        epoch: int,
    ) -> NDArray[np.int64]:
        """Return the support size of each task batch; at least one of its rows stays in the query set.

        Args:
            rows: Rows of each task batch, int64[T].
            ranked: Rows of each that may be support, int64[T].
            positions: Position of each task batch in its split, int64[T]: a draw depends on nothing else of the task.
            seed: The training seed.
            epoch: The epoch; evaluation uses ``fixed``, which ignores it.
        """
        limit = np.minimum(ranked, rows - 1)
        return np.minimum(self._wanted(limit, positions, seed, epoch), limit)

    def _wanted(
        self, limit: NDArray[np.int64], positions: NDArray[np.int64], seed: int, epoch: int
    ) -> NDArray[np.int64]:
        if self.policy == "column":
            return limit
        if self.policy == "fixed":
            return np.full_like(limit, self.size or 0)
        low, high = self.min or 0, self.max or 0
        draws = draw(seed, Purpose.SUPPORT_SIZE, epoch, positions=positions)
        return low + (draws % np.uint64(high - low + 1)).astype(np.int64)
