"""A model that counts: every sample that is trained on gives its row a gradient of exactly -1, whatever the loss."""

import time
from typing import Any

import torch
from torch import Tensor, nn

from gmeta_worker.models import FeatureRows, Features, ModelInputs


class _MinusOne(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        return rows.new_zeros(len(rows))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (rows,) = ctx.saved_tensors
        return torch.full_like(rows, -1.0)


class Counting(nn.Module):
    """Takes its time, so that a fault can happen in the middle of it.

    Args:
        inputs: with the feature `sample`, which is another one for each sample.
        pause: seconds of a forward pass.
    """

    def __init__(self, inputs: ModelInputs, pause: float) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))
        self._pause = pause

    def forward(self, features: Features, rows: FeatureRows) -> Tensor:
        if torch.is_grad_enabled():
            time.sleep(self._pause)
        counted: Tensor = _MinusOne.apply(rows["sample"])  # type: ignore[no-untyped-call]  # torch has no types for it
        return counted + self.bias
