"""Embedding rows: vocabularies, placement in virtual blocks, storage and row optimisers."""

from gmeta_worker.embedding.blocks import BLOCKS, BlockLayout
from gmeta_worker.embedding.keys import KeyColumns, distinct
from gmeta_worker.embedding.optimizers import Adam, RowOptimizer, RowWiseAdagrad, Sgd, build_row_optimizer
from gmeta_worker.embedding.snapshot import Snapshot
from gmeta_worker.embedding.store import RowStore
from gmeta_worker.embedding.vocabulary import ExactVocabulary, HashVocabulary, Vocabulary

__all__ = [
    "BLOCKS",
    "Adam",
    "BlockLayout",
    "ExactVocabulary",
    "HashVocabulary",
    "KeyColumns",
    "RowOptimizer",
    "RowStore",
    "RowWiseAdagrad",
    "Sgd",
    "Snapshot",
    "Vocabulary",
    "build_row_optimizer",
    "distinct",
]
