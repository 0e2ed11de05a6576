"""Layers that models are built of, and the task context through which the inner loop adapts them."""

from gmeta_worker.layers.adaptive import AdaptiveBias, AdaptiveLayer, AdaptiveLinear
from gmeta_worker.layers.context import LayerCall, Packing, Steps, TaskContext, current_task_context, task_context
from gmeta_worker.layers.mlp import MLP

__all__ = [
    "MLP",
    "AdaptiveBias",
    "AdaptiveLayer",
    "AdaptiveLinear",
    "LayerCall",
    "Packing",
    "Steps",
    "TaskContext",
    "current_task_context",
    "task_context",
]
