"""A model on a split, scored by all ranks together: every task once, by label and shot, adapted and un-adapted."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from gmeta_worker.evaluation import MODES, Outcomes, Score, SplitScores, headline, score_shot
from gmeta_worker.metaio import EvaluationReader, Share, Split, StepBatch
from gmeta_worker.training.components import Components
from gmeta_worker.training.part import OwnPart

__all__ = ["Evaluator", "Score", "SplitScores", "headline"]

TASKS_PER_BATCH = 64  # of one rank


class Evaluator:
    """Scores splits with the parts of a run, in eval mode and without touching them.

    Every rank calls it with the same arguments, scores its part of every batch, and learns the scores of the whole.
    From the same logits the scores are the same bits for any number of ranks, and none needs the rows of the others.
    """

    def __init__(self, parts: Components) -> None:
        self._parts = parts
        self._part = OwnPart.even(parts.group)

    def __call__(self, split: Split, shots: Sequence[int]) -> SplitScores:
        """Scores of `split` at each of `shots`, un-adapted and adapted."""
        self._parts.model.eval()
        try:
            found = [self._shot(split, shot) for shot in shots]
        finally:
            self._parts.model.train()
        return SplitScores(
            tuple(score for each in found for score in each.whole),
            tuple(score for each in found for score in each.by_class),
        )

    def _shot(self, split: Split, shot: int) -> SplitScores:
        labels = self._parts.schema.labels
        outcomes = joined(list(self._outcomes(split, shot)), len(labels))
        return score_shot(self._parts.group, outcomes, labels, shot)

    def _outcomes(self, split: Split, shot: int) -> Iterator[Outcomes]:
        """What this rank's parts of all batches come to."""
        group = self._parts.group
        share = Share(group.rank, group.size, self._part)
        reader = EvaluationReader(split, tasks_per_step=TASKS_PER_BATCH * group.size, share=share)
        for batch in reader.batches(shot):
            yield self._scored(self._part(batch))

    def _scored(self, batch: StepBatch) -> Outcomes:
        parts = self._parts
        inputs = parts.assembler(batch)
        rows = parts.exchange.route(inputs.ids).fetch(parts.store.lookup)
        query = inputs.samples.query
        logits = [parts.algorithm.scores(parts.model, rows, inputs.samples, adapted=mode) for mode in MODES]
        return Outcomes(
            torch.stack(logits, 1).float().cpu().numpy(),
            query.labels.float().cpu().numpy(),
            query.task.cpu().numpy(),
            np.diff(batch.offsets),
        )


def joined(parts: Sequence[Outcomes], labels: int) -> Outcomes:
    """The outcomes of several batches with so many labels as one; tasks are numbered on."""
    first_task = np.cumsum([0, *(len(part.task_rows) for part in parts)], dtype=np.int64)
    return Outcomes(
        np.concatenate([np.zeros((0, len(MODES), labels), dtype=np.float32), *(part.logits for part in parts)]),
        np.concatenate([np.zeros((0, labels), dtype=np.float32), *(part.labels for part in parts)]),
        np.concatenate([first_task[:0], *(part.task + first for part, first in zip(parts, first_task, strict=False))]),
        np.concatenate([first_task[:0], *(part.task_rows for part in parts)]),
    )
