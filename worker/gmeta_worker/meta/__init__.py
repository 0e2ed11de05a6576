"""Meta-learning: a model, embedding rows and a step's samples become gradients."""

from gmeta_worker.meta.algorithm import Algorithm, Joint, Maml, StepGradients
from gmeta_worker.meta.build import build_algorithm
from gmeta_worker.meta.samples import RaggedIndex, Samples, TaskSamples

__all__ = [
    "Algorithm",
    "Joint",
    "Maml",
    "RaggedIndex",
    "Samples",
    "StepGradients",
    "TaskSamples",
    "build_algorithm",
]
