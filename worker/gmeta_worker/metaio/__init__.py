"""Meta-IO: task-grouped datasets on disk, and the readers that feed them to training and evaluation."""

from gmeta_worker.metaio.batch import Ragged, StepBatch
from gmeta_worker.metaio.card import Card, Feature, Schema
from gmeta_worker.metaio.dataset import Dataset, Split
from gmeta_worker.metaio.policy import SupportPolicy
from gmeta_worker.metaio.reader import EvaluationReader, StepReader
from gmeta_worker.metaio.share import WHOLE, Share

__all__ = [
    "WHOLE",
    "Card",
    "Dataset",
    "EvaluationReader",
    "Feature",
    "Ragged",
    "Schema",
    "Share",
    "Split",
    "StepBatch",
    "StepReader",
    "SupportPolicy",
]
