"""What one rank takes of a step batch."""

from dataclasses import dataclass
from typing import Self

from gmeta_worker.metaio import StepBatch
from gmeta_worker.parallel import Group, split


@dataclass(frozen=True)
class OwnPart:
    """Cuts this rank's task batches out of every step batch.

    Attributes:
        rank: this rank.
        weights: what part of the rows each rank gets, in proportion.
    """

    rank: int
    weights: tuple[float, ...]

    @classmethod
    def even(cls, group: Group) -> Self:
        """The same weight for every rank of `group`."""
        return cls(group.rank, (1.0,) * group.size)

    def __call__(self, batch: StepBatch) -> StepBatch:
        """This rank's contiguous slice of `batch`; it may be empty."""
        bounds = split(batch.offsets, self.weights)
        return batch.slice(bounds[self.rank], bounds[self.rank + 1])


@dataclass(frozen=True)
class Consumed:
    """What was trained on in a step: task batches, and rows by set."""

    tasks: int
    support: int
    query: int

    @classmethod
    def of(cls, batch: StepBatch) -> Self:
        """Count `batch`."""
        support = int(batch.support.sum())
        return cls(batch.tasks, support, batch.rows - support)

    @property
    def samples(self) -> int:
        """Support and query rows together."""
        return self.support + self.query
