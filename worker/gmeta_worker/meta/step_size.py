"""How far an inner step goes: learning rate / (support samples + shrinkage), fixed or learned for every group."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class StepSizes(nn.Module):
    """Multipliers of the inner learning rate and of the shrinkage, one of each for every group that adapts.

    A group is a layer, or the rows of a vocabulary. Both multipliers are exponentials of parameters that start at zero,
    so they stay positive and begin at what the manifest says (Meta-SGD, arXiv 1707.09835, by layer).

    Args:
        groups: their names.
        learned: whether training changes the multipliers.
        dtype: of the parameters.
    """

    def __init__(self, groups: Sequence[str], *, learned: bool, dtype: torch.dtype) -> None:
        super().__init__()
        self._groups = tuple(groups)
        start = torch.zeros(2, len(groups), dtype=dtype)
        if learned:
            self.logs = nn.Parameter(start)
        else:
            self.register_buffer("logs", start, persistent=False)

    def by_group(self, rate: float, shrinkage: float, counts: Tensor) -> dict[str, Tensor]:
        """What a task's summed gradient is multiplied by.

        Args:
            rate: learning rate before the multiplier.
            shrinkage: likewise.
            counts: [T], support samples of each task.

        Returns:
            [T] of each group; 0 for a task without support.
        """
        by_rate, by_shrinkage = self.logs.exp().unsqueeze(2)
        divisor = counts + shrinkage * by_shrinkage
        sizes = torch.where(counts > 0, rate * by_rate / divisor.clamp(min=1e-9), 0.0)
        return dict(zip(self._groups, sizes.unbind(), strict=True))

    def table(self, rate: float, shrinkage: float) -> dict[str, tuple[float, float]]:
        """Learning rate and shrinkage of every group, for people and for serving."""
        by_rate, by_shrinkage = self.logs.detach().exp().tolist()
        return {name: (rate * by_rate[n], shrinkage * by_shrinkage[n]) for n, name in enumerate(self._groups)}
