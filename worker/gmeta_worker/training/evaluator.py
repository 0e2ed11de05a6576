"""A model on a split, scored by all ranks together: every task once, by shot, adapted and un-adapted."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray

from gmeta_worker.evaluation.ranking import auc, gauc, log_loss
from gmeta_worker.metaio import EvaluationReader, Share, Split, StepBatch
from gmeta_worker.parallel import Group, broadcast, gather
from gmeta_worker.training.components import Components
from gmeta_worker.training.part import OwnPart

Floats = NDArray[np.float32]
MODES = (False, True)
TASKS_PER_BATCH = 64  # of one rank


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


@dataclass(frozen=True)
class _Outcomes:
    """Query samples of whole tasks.

    Attributes:
        logits: float32[n, modes].
        labels: float32[n].
        task: int64[n], number of the task in the split.
    """

    logits: torch.Tensor
    labels: torch.Tensor
    task: torch.Tensor


class Evaluator:
    """Scores splits with the parts of a run, in eval mode and without touching them.

    Every rank calls it with the same arguments, scores its part of every batch, and learns the scores of the whole.
    They do not depend on the number of ranks: rank 0 has all logits, in the order of the tasks.
    """

    def __init__(self, parts: Components) -> None:
        self._parts = parts
        self._part = OwnPart.even(parts.group)

    def __call__(self, split: Split, shots: Sequence[int]) -> list[Score]:
        """Scores of `split` at each of `shots`, un-adapted and adapted."""
        self._parts.model.eval()
        try:
            own = [score for shot in shots for score in self._shot(split, shot)]
            return _agreed(own, self._parts.group)
        finally:
            self._parts.model.train()

    def _shot(self, split: Split, shot: int) -> list[Score]:
        """The scores, on rank 0; on the others they say nothing."""
        group = self._parts.group
        outcomes = self._outcomes(split, shot)
        both = gather(group, torch.cat([outcomes.logits, outcomes.labels.unsqueeze(1)], 1)).cpu().numpy()
        tasks = gather(group, outcomes.task).cpu().numpy()
        order = np.argsort(tasks, kind="stable")
        *logits, labels = both[order].T
        return [_score(shot, mode, logits[number], labels, tasks[order]) for number, mode in enumerate(MODES)]

    def _outcomes(self, split: Split, shot: int) -> _Outcomes:
        """What this rank's parts of all batches come to."""
        found = [_Outcomes(torch.zeros(0, len(MODES)), torch.zeros(0), torch.zeros(0, dtype=torch.int64))]
        group = self._parts.group
        share = Share(group.rank, group.size, self._part)
        reader = EvaluationReader(split, tasks_per_step=TASKS_PER_BATCH * group.size, share=share)
        found.extend(self._scored(self._part(batch)) for batch in reader.batches(shot))
        return _Outcomes(
            torch.cat([each.logits for each in found]),
            torch.cat([each.labels for each in found]),
            torch.cat([each.task for each in found]),
        )

    def _scored(self, batch: StepBatch) -> _Outcomes:
        parts = self._parts
        inputs = parts.assembler(batch)
        rows = parts.exchange.route(inputs.ids).fetch(parts.store.lookup)
        query = inputs.samples.query
        logits = [parts.algorithm.scores(parts.model, rows, inputs.samples, adapted=mode) for mode in MODES]
        return _Outcomes(
            torch.stack(logits, 1).float().cpu(), query.labels.float().cpu(), query.task.cpu() + batch.positions[0]
        )


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


def _agreed(scores: Sequence[Score], group: Group) -> list[Score]:
    """Rank 0's scores, on every rank."""
    values = broadcast(group, torch.tensor([astuple(score) for score in scores], dtype=torch.float64))
    return [
        Score(int(shot), bool(adapted), auc, gauc, loss, int(tasks), int(rows))
        for shot, adapted, auc, gauc, loss, tasks, rows in values.tolist()
    ]


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
