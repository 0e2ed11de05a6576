"""Meta-learning: a model, embedding rows and a step's samples become gradients."""

from gmeta_worker.meta.adapter import AdaptedTasks, Adapter, InnerLoop, Movement
from gmeta_worker.meta.algorithm import Adapting, Algorithm, InnerLoops, StepGradients, summed_gradients
from gmeta_worker.meta.build import build_algorithm
from gmeta_worker.meta.forward import logits_of, row_loss, task_loss
from gmeta_worker.meta.joint import Joint
from gmeta_worker.meta.maml import Maml
from gmeta_worker.meta.precision import forward_type
from gmeta_worker.meta.reptile import Reptile
from gmeta_worker.meta.samples import RaggedIndex, Samples, TaskSamples

__all__ = [
    "AdaptedTasks",
    "Adapter",
    "Adapting",
    "Algorithm",
    "InnerLoop",
    "InnerLoops",
    "Joint",
    "Maml",
    "Movement",
    "RaggedIndex",
    "Reptile",
    "Samples",
    "StepGradients",
    "TaskSamples",
    "build_algorithm",
    "forward_type",
    "logits_of",
    "row_loss",
    "summed_gradients",
    "task_loss",
]
