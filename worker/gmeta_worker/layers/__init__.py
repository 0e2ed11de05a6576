"""Layers that models are built of, and the task context through which the inner loop adapts them."""

from gmeta_worker.layers.adaptive import AdaptiveBias, AdaptiveLayer, AdaptiveLayerNorm, AdaptiveLinear
from gmeta_worker.layers.context import AdaptedLayers, TaskContext, current_task_context, task_context
from gmeta_worker.layers.cost import Passes, Path
from gmeta_worker.layers.dropout import Dropout, RandomDraws, random_draws
from gmeta_worker.layers.mlp import MLP
from gmeta_worker.layers.packing import Packing
from gmeta_worker.layers.parts import ContextVector, WideHead
from gmeta_worker.layers.tasks import LayerTasks

__all__ = [
    "MLP",
    "AdaptedLayers",
    "AdaptiveBias",
    "AdaptiveLayer",
    "AdaptiveLayerNorm",
    "AdaptiveLinear",
    "ContextVector",
    "Dropout",
    "LayerTasks",
    "Packing",
    "Passes",
    "Path",
    "RandomDraws",
    "TaskContext",
    "WideHead",
    "current_task_context",
    "random_draws",
    "task_context",
]
