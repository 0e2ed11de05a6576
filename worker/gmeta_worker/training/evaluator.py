"""A model on a split: every task once, by shot, adapted and un-adapted."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from gmeta_worker.evaluation.ranking import auc, gauc, log_loss
from gmeta_worker.metaio import EvaluationReader, Split
from gmeta_worker.training.components import Components

Floats = NDArray[np.float32]
MODES = (False, True)
TASKS_PER_BATCH = 64


@dataclass(frozen=True)
class Score:
    """Quality on the query rows of a split at one shot.

    Attributes:
        shot: support rows a task was given, at most (a task with fewer keeps what it has).
        adapted: whether the model was adapted to the support rows first.
        auc: pooled over all query rows.
        gauc: unweighted mean over the tasks with both labels among their query rows.
        loss: mean binary cross entropy of the query rows.
        tasks: tasks with at least one query row.
        rows: query rows.
    """

    shot: int
    adapted: bool
    auc: float
    gauc: float
    loss: float
    tasks: int
    rows: int


class Evaluator:
    """Scores splits with the parts of a run, in eval mode and without touching them."""

    def __init__(self, parts: Components) -> None:
        self._parts = parts

    def __call__(self, split: Split, shots: Sequence[int]) -> list[Score]:
        """Scores of `split` at each of `shots`, un-adapted and adapted."""
        self._parts.model.eval()
        try:
            return [score for shot in shots for score in self._shot(split, shot)]
        finally:
            self._parts.model.train()

    def _shot(self, split: Split, shot: int) -> list[Score]:
        logits: dict[bool, list[Floats]] = {mode: [] for mode in MODES}
        labels: list[Floats] = []
        tasks: list[NDArray[np.int64]] = []
        first_task = 0
        for batch in EvaluationReader(split, tasks_per_step=TASKS_PER_BATCH).batches(shot):
            inputs = self._parts.assembler(batch)
            rows = self._parts.store.lookup(inputs.ids)
            for mode in MODES:
                scores = self._parts.algorithm.scores(self._parts.model, rows, inputs.samples, adapted=mode)
                logits[mode].append(scores.float().cpu().numpy())
            labels.append(inputs.samples.query.labels.cpu().numpy())
            tasks.append(inputs.samples.query.task.cpu().numpy() + first_task)
            first_task += inputs.samples.tasks
        return [
            _score(shot, mode, np.concatenate(logits[mode]), np.concatenate(labels), np.concatenate(tasks))
            for mode in MODES
        ]


def _score(shot: int, adapted: bool, logits: Floats, labels: Floats, tasks: NDArray[np.int64]) -> Score:
    return Score(
        shot=shot,
        adapted=adapted,
        auc=auc(logits, labels),
        gauc=gauc(logits, labels, tasks),
        loss=log_loss(logits, labels),
        tasks=len(np.unique(tasks)),
        rows=len(labels),
    )


def headline(scores: Sequence[Score], *, adapted: bool) -> Score:
    """One score for progress and early stopping: the mean over the shots, of the adapted or the un-adapted model."""
    chosen = [score for score in scores if score.adapted is adapted]

    return Score(
        shot=0,
        adapted=adapted,
        auc=fmean(score.auc for score in chosen),
        gauc=fmean(score.gauc for score in chosen),
        loss=fmean(score.loss for score in chosen),
        tasks=chosen[0].tasks,
        rows=chosen[0].rows,
    )
