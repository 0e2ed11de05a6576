"""Layers that models are built of, and the task context through which the inner loop adapts them."""

from gmeta_worker.layers.adaptive import AdaptiveBias, AdaptiveLayer, AdaptiveLinear
from gmeta_worker.layers.context import LayerCall, Packing, Steps, TaskContext, current_task_context, task_context
from gmeta_worker.layers.dropout import Dropout, RandomDraws, random_draws
from gmeta_worker.layers.mlp import MLP
from gmeta_worker.layers.parts import ContextVector, WideHead

__all__ = [
    "MLP",
    "AdaptiveBias",
    "AdaptiveLayer",
    "AdaptiveLinear",
    "ContextVector",
    "Dropout",
    "LayerCall",
    "Packing",
    "RandomDraws",
    "Steps",
    "TaskContext",
    "WideHead",
    "current_task_context",
    "random_draws",
    "task_context",
]
