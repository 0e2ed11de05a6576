"""Scores of a split at one shot, from what each rank has of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmeta_worker.evaluation.exact_sum import exact_sums
from gmeta_worker.evaluation.grouped import GroupedTallies
from gmeta_worker.evaluation.order import BITS, Floats, Ints, to_ordered
from gmeta_worker.evaluation.per_task import has_both_labels, task_auc, task_ndcg
from gmeta_worker.evaluation.pooled import add_pooled
from gmeta_worker.evaluation.score import Score, score_of
from gmeta_worker.evaluation.score_ranges import share_out
from gmeta_worker.evaluation.sums import CUTOFFS, SUMS, Sums, add_up, of_lower_ranks
from gmeta_worker.evaluation.tallies import Tallies, count_rows, merge
from gmeta_worker.evaluation.task_class import CLASSES, task_class
from gmeta_worker.parallel import Group

MODES = (False, True)
_TAG_BITS = 2
_POOLS = 1 + len(CLASSES)
"""All rows, and those of each class of tasks."""


@dataclass(frozen=True)
class Outcomes:
    """A rank's query rows, of whole tasks.

    Attributes:
        logits: float32[n, modes, L].
        labels: float32[n, L], 0 or 1, NaN where a row's label is not known: it counts in no score of the label.
        task: int64[n], number of the row's task on this rank.
        task_rows: int64[T], rows of each task, support and query.
    """

    logits: Floats
    labels: Floats
    task: Ints
    task_rows: Ints


@dataclass(frozen=True)
class SplitScores:
    """Scores of a split, by label and shot, un-adapted and adapted.

    Attributes:
        whole: of all tasks.
        by_class: of each class of tasks that has query rows, with its name.
    """

    whole: tuple[Score, ...]
    by_class: tuple[tuple[str, Score], ...]


def score_shot(group: Group, outcomes: Outcomes, labels: Sequence[str], shot: int) -> SplitScores:
    """The scores over all ranks, the same on each: they do not depend on how many ranks share out the tasks.

    Args:
        group: the ranks.
        outcomes: of this rank.
        labels: names of the L labels.
        shot: support rows that the tasks were given.
    """
    classes = task_class(outcomes.task_rows)
    whole: list[Score] = []
    by_class: list[tuple[str, Score]] = []
    for number, label in enumerate(labels):
        known = ~np.isnan(outcomes.labels[:, number])
        task, positive = outcomes.task[known], outcomes.labels[known, number] > 0.5
        for adapted, logits in zip(MODES, outcomes.logits[known, :, number].T, strict=True):
            first, *others = _sums(group, to_ordered(logits), positive, task, classes)
            whole.append(score_of(label, shot, adapted, first))
            scored = [(name, sums) for name, sums in zip(CLASSES, others, strict=True) if sums["rows"].any()]
            by_class.extend((name, score_of(label, shot, adapted, sums)) for name, sums in scored)
    return SplitScores(tuple(whole), tuple(by_class))


def _sums(group: Group, ordered: Ints, positive: NDArray[np.bool_], task: Ints, classes: Ints) -> Sums:
    """Over all ranks, of all rows and of each class of tasks."""
    own = np.zeros(_POOLS, dtype=SUMS)
    _add_pooled(group, own, count_rows(ordered << _TAG_BITS | classes[task], positive))
    _add_tasks(own, GroupedTallies(count_rows(task << BITS | ordered, positive), len(classes)), classes)
    return add_up(group, own)


def _add_pooled(group: Group, sums: Sums, tagged: Tallies) -> None:
    pools = GroupedTallies(_by_pool(share_out(group, tagged, _TAG_BITS)), _POOLS)
    below, rows = of_lower_ranks(group, np.stack([pools.negatives, pools.positives], axis=1))
    add_pooled(sums, pools, below, rows)


def _by_pool(tagged: Tallies) -> Tallies:
    """The same rows twice: all of them as one pool, then class by class."""
    scores, tags = tagged.keys >> _TAG_BITS, tagged.keys & (1 << _TAG_BITS) - 1
    whole = merge(scores, tagged.negatives, tagged.positives)
    order = np.argsort(tags.astype(np.int8), kind="stable")
    return Tallies(
        np.concatenate([whole.keys, (tags + 1 << BITS | scores)[order]]),
        np.concatenate([whole.negatives, tagged.negatives[order]]),
        np.concatenate([whole.positives, tagged.positives[order]]),
    )


def _add_tasks(sums: Sums, tasks: GroupedTallies, classes: Ints) -> None:
    ranked = has_both_labels(tasks)
    sums["tasks"] = np.stack([_counts(classes[tasks.rows > 0]), _counts(classes[ranked])], axis=1)
    order = np.argsort(classes[ranked], kind="stable")
    bounds = np.cumsum([0, *_counts(classes[ranked])[1:]])
    measures = [task_auc(tasks), *(task_ndcg(tasks, k) for k in CUTOFFS)]
    digits = np.stack([exact_sums(each[ranked][order], bounds) for each in measures], axis=1)
    digits = np.concatenate([digits.sum(0, keepdims=True), digits])
    sums["auc"], sums["ndcg"] = digits[:, 0], digits[:, 1:]


def _counts(classes: Ints) -> NDArray[np.intp]:
    """How many tasks there are, and how many of each class."""
    return np.concatenate([[len(classes)], np.bincount(classes, minlength=len(CLASSES))])
