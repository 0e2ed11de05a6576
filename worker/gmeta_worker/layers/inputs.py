"""What a layer is given: rows of its samples, perhaps of parts side by side, not all of which need a gradient."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class LayerInput:
    """Rows of a layer's input.

    Attributes:
        x: [n, in].
        per_sample: rows of a sample.
        varying: [n, v], the first v columns of `x`, if these are all that need a gradient; else None.
    """

    x: Tensor
    per_sample: int = 1
    varying: Tensor | None = None

    @classmethod
    def side_by_side(cls, parts: Sequence[Tensor]) -> "LayerInput":
        """Parts [n, width each]; those that need a gradient come first, where there are others."""
        count = next((k for k, part in enumerate(parts) if not part.requires_grad), len(parts))
        split = 0 < count < len(parts) and not any(part.requires_grad for part in parts[count:])
        return cls(torch.cat(list(parts), 1), varying=torch.cat(list(parts[:count]), 1) if split else None)

    def linear(self, weight: Tensor, bias: Tensor | None) -> Tensor:
        """`x` times the weight [out, in], plus the bias; backwards only the columns that need a gradient get one."""
        if self.varying is None:
            return functional.linear(self.x, weight, bias)
        width = self.varying.shape[1]
        fixed = functional.linear(self.x.detach()[:, width:], weight[:, width:], bias)
        return torch.addmm(fixed, self.varying, weight[:, :width].t())
