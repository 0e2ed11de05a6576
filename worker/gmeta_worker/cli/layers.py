"""How the inner loop adapts each layer of a job's model, as a table: all tasks at once in one of two ways, or one task
after another."""

from collections.abc import Iterator

import numpy as np
from rich.table import Table
from torch import nn

from gmeta_api.spec import Spec
from gmeta_worker.layers import AdaptiveLayer, AdaptiveLinear, Passes
from gmeta_worker.layers.cost import low_rank_cost, own_weights_cost
from gmeta_worker.meta import Adapting
from gmeta_worker.meta.targets import Targets
from gmeta_worker.metaio import Dataset, StepBatch
from gmeta_worker.training.components import build_dense
from gmeta_worker.training.run import dataset_keys

Row = tuple[str, str, str]


def layer_table(spec: Spec, dataset: Dataset, first: StepBatch) -> Table:
    """The layers in each of the job's algorithms, for the tasks of the first step.

    Raises:
        ModelError: the model or an algorithm cannot be built.
    """
    model, algorithms = build_dense(spec, dataset.schema, list(dataset_keys(dataset)))
    shown = Table("algorithm", "layer", "inner steps", "why", title="Layers, by the tasks of the first step")
    for name, algorithm in algorithms.items():
        if isinstance(algorithm, Adapting):
            loops = algorithm.loops
            for row in layer_rows(model, loops.adapter.targets, passes_of(first, loops.training.steps)):
                shown.add_row(name, *row)
    return shown


def passes_of(batch: StepBatch, steps: int) -> Passes:
    """The passes of an inner loop over a step batch."""
    return Passes(steps, batch.support, np.diff(batch.offsets) - batch.support)


def layer_rows(model: nn.Module, targets: Targets, passes: Passes) -> Iterator[Row]:
    """Each layer with parameters: its name, how its inner steps are computed, and why."""
    for name, layer in model.named_modules():
        if name and any(True for _ in layer.parameters(recurse=False)) and not name.startswith("step_sizes"):
            yield name, *_path(layer, name, targets, passes)


def _path(layer: nn.Module, name: str, targets: Targets, passes: Passes) -> tuple[str, str]:
    if layer not in targets.layers:
        return "none", "it does not adapt"
    if targets.plain:
        own = "it is no adaptive layer with weights of its own"
        return "task by task", own if name in targets.plain else f"as {targets.plain[0]} is: they share their passes"
    assert isinstance(layer, AdaptiveLayer), "what is not plain is an adaptive layer"
    return layer.path(passes), _reason(layer, passes)


def _reason(layer: AdaptiveLayer, passes: Passes) -> str:
    """The multiplications of both ways, beside those of the passes themselves."""
    if not isinstance(layer, AdaptiveLinear):
        return "a task's own vectors are small"
    widths = layer.in_features, layer.out_features
    low_rank, own = low_rank_cost(*widths, passes), own_weights_cost(*widths, passes)
    return f"{low_rank:,} multiplications; own weights {own:,}"
