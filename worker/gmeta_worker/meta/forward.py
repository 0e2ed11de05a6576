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


def task_loss(logits: Tensor, samples: Samples, tasks: int) -> Tensor:
    """Binary cross entropy, the mean over each task's samples, summed over tasks; in the labels' type."""
    weights = torch.bincount(samples.task, minlength=tasks).to(samples.labels.dtype).reciprocal()[samples.task]
    return binary_cross_entropy_with_logits(logits.to(samples.labels.dtype), samples.labels, weights, reduction="sum")


def row_loss(logits: Tensor, samples: Samples) -> Tensor:
    """Binary cross entropy summed over samples."""
    return binary_cross_entropy_with_logits(logits.to(samples.labels.dtype), samples.labels, reduction="sum")
