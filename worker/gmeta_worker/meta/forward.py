"""One pass of a model over packed samples, and the loss of its logits."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gmeta_worker.meta.rows import stacked_rows
from gmeta_worker.meta.samples import Samples
from gmeta_worker.models import FeatureRows, Features, inputs_of


def model_arguments(model: nn.Module, table: Tensor, samples: Samples) -> tuple[Features, FeatureRows]:
    """What `model` is called with for `samples`, whose positions point into `table` [rows, dim]."""
    return Features(samples.numeric), FeatureRows(inputs_of(model).features, stacked_rows(table, samples))


def logits_of(model: nn.Module, table: Tensor, samples: Samples) -> Tensor:
    """Logits [n]."""
    logits: Tensor = model(*model_arguments(model, table, samples))
    return logits


def task_loss(logits: Tensor, samples: Samples, tasks: int, shrinkage: float = 0.0) -> Tensor:
    """Binary cross entropy of each task's samples, summed and divided by (their number + shrinkage), over all tasks.

    In the labels' type. Without shrinkage each task counts by its mean.
    """
    divisors = torch.bincount(samples.task, minlength=tasks).to(samples.labels.dtype) + shrinkage
    weights = divisors.reciprocal()[samples.task]
    return binary_cross_entropy_with_logits(logits.to(samples.labels.dtype), samples.labels, weights, reduction="sum")


def row_loss(logits: Tensor, samples: Samples) -> Tensor:
    """Binary cross entropy summed over samples."""
    return binary_cross_entropy_with_logits(logits.to(samples.labels.dtype), samples.labels, reduction="sum")
