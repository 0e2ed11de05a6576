"""Every metric against its definition, and the same bits whatever the number of ranks and who has which tasks."""

import math
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import pytest
import slow_metrics as slow
from hypothesis import example, given, settings
from hypothesis import strategies as st
from threaded_group import run_ranks

from gmeta_worker.evaluation import Outcomes, Score, SplitScores, score_shot
from gmeta_worker.parallel import ALONE

LOGITS = st.sampled_from([-2.5, -1.0, -0.0, 0.0, 0.25, 1.0, 40.0]) | st.floats(-30, 30, width=32)
LABELS = ("click",)
row = st.tuples(LOGITS, LOGITS, st.booleans())


@dataclass(frozen=True)
class Task:
    """Query rows (un-adapted logit, adapted logit, label), and how many support rows there are besides."""

    query: list[tuple[float, float, bool]]
    support: int

    def rows(self, mode: int) -> list[slow.Row]:
        return [(each[mode], each[2]) for each in self.query]


task_of_few_rows = st.builds(Task, st.lists(row, max_size=6), st.sampled_from([0, 2, 9, 40, 200]))
tasks_of_few_rows = st.lists(task_of_few_rows, max_size=8)
ONE_CLASS = [Task([(1.0, 2.0, True)] * 3, 0)]
ALL_TIED = [Task([(0.0, 0.0, label) for label in (True, False, True)], 9)] * 5


def outcomes(tasks: list[Task]) -> Outcomes:
    query = [row for task in tasks for row in task.query]
    return Outcomes(
        logits=np.array([row[:2] for row in query], dtype=np.float32).reshape(len(query), 2, 1),
        labels=np.array([row[2] for row in query], dtype=np.float32).reshape(len(query), 1),
        task=np.repeat(np.arange(len(tasks)), [len(task.query) for task in tasks]).astype(np.int64),
        task_rows=np.array([len(task.query) + task.support for task in tasks], dtype=np.int64),
    )


def by_definition(tasks: list[Task], adapted: bool, shot: int) -> Score:
    rows = [row for task in tasks for row in task.rows(adapted)]
    each = [task.rows(adapted) for task in tasks]
    return Score(
        label=LABELS[0],
        shot=shot,
        adapted=adapted,
        auc=slow.auc(rows),
        gauc=slow.mean_of_known([slow.auc(task) for task in each]),
        loss=slow.log_loss(rows),
        calibration=slow.calibration(rows),
        calibration_error=slow.calibration_error(rows),
        ndcg_5=slow.mean_of_known([slow.ndcg(task, 5) for task in each]),
        ndcg_10=slow.mean_of_known([slow.ndcg(task, 10) for task in each]),
        tasks=sum(bool(task.query) for task in tasks),
        rows=len(rows),
    )


@settings(deadline=None)
@example(tasks=[])
@example(tasks=ONE_CLASS)
@example(tasks=ALL_TIED)
@given(tasks=tasks_of_few_rows)
def test_scores_are_what_the_metrics_are_defined_as(tasks: list[Task]) -> None:
    scores = score_shot(ALONE, outcomes(tasks), LABELS, shot=3)
    for score, adapted in zip(scores.whole, (False, True), strict=True):
        assert_close(score, by_definition(tasks, adapted, shot=3))
    expected = [
        (name, by_definition(members, adapted, shot=3))
        for adapted in (False, True)
        for name, members in by_class(tasks).items()
        if any(task.query for task in members)
    ]
    assert [name for name, _ in scores.by_class] == [name for name, _ in expected]
    for (_, score), (_, right) in zip(scores.by_class, expected, strict=True):
        assert_close(score, right)


def by_class(tasks: list[Task]) -> dict[str, list[Task]]:
    bounds = {"1-9": (1, 9), "10-29": (10, 29), "30-99": (30, 99), "100+": (100, 10**9)}
    sized = [(len(task.query) + task.support, task) for task in tasks]
    return {name: [task for rows, task in sized if lo <= rows <= hi] for name, (lo, hi) in bounds.items()}


def assert_close(score: Score, right: Score) -> None:
    assert (score.label, *astuple(score)[1:3]) == (right.label, *astuple(right)[1:3])
    assert astuple(score)[1:] == pytest.approx(astuple(right)[1:], rel=1e-12, abs=1e-15, nan_ok=True)


@settings(deadline=None, max_examples=60)
@example(tasks=[], size=4, owners=[])
@example(tasks=ONE_CLASS, size=3, owners=[2])
@example(tasks=ALL_TIED, size=4, owners=[1, 1, 1, 1, 1])
@example(tasks=ALL_TIED, size=2, owners=[0, 1, 0, 1, 0])
@given(
    tasks=tasks_of_few_rows,
    size=st.integers(2, 4),
    owners=st.lists(st.integers(0, 3), min_size=8, max_size=8),
)
def test_any_ranks_give_the_same_bits(tasks: list[Task], size: int, owners: list[int]) -> None:
    shares = [
        outcomes([task for task, owner in zip(tasks, owners, strict=False) if owner % size == rank])
        for rank in range(size)
    ]
    told = run_ranks(size, lambda group: score_shot(group, shares[group.rank], LABELS, shot=1))
    alone = score_shot(ALONE, outcomes(tasks), LABELS, shot=1)
    assert [bits(scores) for scores in told] == [bits(alone)] * size


def bits(scores: SplitScores) -> str:
    """As text, in which a float keeps every bit and what is not a number equals itself."""
    return repr(scores)


labelled_row = st.tuples(LOGITS, LOGITS, LOGITS, LOGITS, *[st.sampled_from([True, False, None])] * 2)


@settings(deadline=None, max_examples=60)
@example(tasks=[[(0.0, 1.0, 2.0, 3.0, None, True)], [(0.0, 1.0, 2.0, 3.0, None, False)]], owners=[1] * 8)
@given(
    tasks=st.lists(st.lists(labelled_row, max_size=6), max_size=8),
    owners=st.lists(st.integers(0, 1), min_size=8, max_size=8),
)
def test_each_label_is_scored_by_itself_on_the_rows_that_have_it(
    tasks: list[list[tuple[Any, ...]]], owners: list[int]
) -> None:
    """A task keeps its class, which goes by all of its rows."""
    labels = ("click", "order")

    def share(rank: int) -> Outcomes:
        own = [task for task, owner in zip(tasks, owners, strict=False) if owner == rank]
        rows = np.array([row for task in own for row in task], dtype=np.float32).reshape(-1, 6)
        lengths = np.array([len(task) for task in own], dtype=np.int64)
        return Outcomes(rows[:, :4].reshape(-1, 2, 2), rows[:, 4:], np.repeat(np.arange(len(own)), lengths), lengths)

    def alone(number: int) -> SplitScores:
        own = [
            [(row[number], row[number + 2], row[number + 4]) for row in task if row[number + 4] is not None]
            for task in tasks
        ]
        known = [Task(rows, len(task) - len(rows)) for rows, task in zip(own, tasks, strict=True)]
        return score_shot(ALONE, outcomes(known), labels[number : number + 1], shot=2)

    told = run_ranks(2, lambda group: score_shot(group, share(group.rank), labels, shot=2))
    click, order = alone(0), alone(1)
    expected = SplitScores(click.whole + order.whole, click.by_class + order.by_class)
    assert [bits(scores) for scores in told] == [bits(expected)] * 2


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_many_rows_give_the_same_bits(size: int) -> None:
    """Enough distinct scores for several samples a range, very uneven ranks, and most ties between them."""
    draw = np.random.default_rng(size)
    rows, tasks = 60_000, 900
    task = np.sort(draw.integers(0, tasks, rows))
    logits = draw.normal(size=(rows, 2)).astype(np.float32)
    logits[:, 1] = np.round(logits[:, 1], 2)
    labels = (draw.random(rows) < 1 / (1 + np.exp(-logits[:, 0]))).astype(np.float32)
    cuts = np.array([0, *np.sort(draw.integers(0, 30, size - 1)), tasks])

    def part(lo: int, hi: int) -> Outcomes:
        chosen = (task >= lo) & (task < hi)
        counts = np.bincount(task, minlength=tasks)[lo:hi]
        return Outcomes(logits[chosen, :, None], labels[chosen, None], task[chosen] - lo, counts)

    alone = score_shot(ALONE, part(0, tasks), LABELS, shot=5)
    told = run_ranks(size, lambda group: score_shot(group, part(*cuts[group.rank : group.rank + 2]), LABELS, shot=5))
    assert [bits(scores) for scores in told] == [bits(alone)] * size
    assert alone.whole[0].auc > 0.6
    assert alone.whole[0].calibration == pytest.approx(1, abs=0.05)
    assert alone.whole[0].calibration_error < 0.02


def test_a_task_constant_raises_the_pooled_metrics_only() -> None:
    labels = [True, True, False, False, False, True]
    shifted = [5.0, 5.0, 5.0, 0.0, 0.0, 0.0]
    scores = [0.1, 0.2, 0.3, 0.1, 0.2, 0.3]
    rows = [(flat, flat + shift, label) for flat, shift, label in zip(scores, shifted, labels, strict=True)]
    flat, moved = score_shot(ALONE, outcomes([Task(rows[:3], 0), Task(rows[3:], 0)]), LABELS, shot=0).whole
    assert moved.auc > flat.auc
    assert (moved.gauc, moved.ndcg_5) == (flat.gauc, flat.ndcg_5) == (0.5, flat.ndcg_10)


@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("label", [False, True])
def test_a_logit_that_is_no_number_leaves_the_loss_unknown(strange: float, label: bool) -> None:
    score = score_shot(ALONE, outcomes([Task([(strange, 0.0, label), (0.0, 0.0, True)], 0)]), LABELS, shot=0).whole[0]
    assert math.isnan(score.loss)
