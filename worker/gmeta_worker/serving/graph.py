"""The model's forward as a graph that runs, and differentiates, without the model's class."""

import copy
from pathlib import Path
from types import MethodType

import torch
from torch import Tensor, nn

from gmeta_api.errors import ModelError
from gmeta_worker.models import FeatureRows, Features, inputs_of

STEP_SIZES = "step_sizes"
"""The submodule of learned step sizes: part of the recipe, not of the forward pass."""


def plain_model(model: nn.Module) -> nn.Module:
    """A copy whose forward takes (numeric [n, D], stacked rows [n, F, dim]), without learned step sizes."""
    plain = copy.deepcopy(model).eval()
    if hasattr(plain, STEP_SIZES):
        delattr(plain, STEP_SIZES)
    names = inputs_of(model).features

    def forward(self: nn.Module, numeric: Tensor, stacked: Tensor) -> Tensor:
        logits: Tensor = type(model).forward(self, Features(numeric), FeatureRows(names, stacked))
        return logits

    plain.forward = MethodType(forward, plain)
    return plain


def write_graph(plain: nn.Module, path: Path) -> None:
    """Write the forward of a plain model, for any number of samples.

    Raises:
        ModelError: the forward depends on values, or on one number of samples.
    """
    inputs = inputs_of(plain)
    example = (torch.zeros(3, len(inputs.numeric)), torch.zeros(3, len(inputs.features), inputs.dim))
    samples = {0: torch.export.Dim.DYNAMIC}
    try:
        program = torch.export.export(plain, example, dynamic_shapes=(samples, samples))
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(
            f"{type(plain).__name__}: its forward cannot be exported: {reason}; branch on no values, and use "
            "x.shape[0] for the number of samples, not len(x)"
        ) from error
    torch.export.save(program, path)
