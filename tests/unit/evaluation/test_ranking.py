"""AUC and GAUC against the definition: the share of positive/negative pairs in the right order, ties one half."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmeta_worker.evaluation.ranking import auc, gauc, grouped_auc, log_loss

samples = st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 4)), min_size=1, max_size=60)


def pair_auc(scores: np.ndarray, labels: np.ndarray) -> float:
    positive, negative = scores[labels > 0.5], scores[labels < 0.5]
    if not len(positive) or not len(negative):
        return math.nan
    difference = positive[:, None] - negative[None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


@given(samples)
def test_auc_is_the_share_of_ordered_pairs(rows: list[tuple[int, bool, int]]) -> None:
    scores, labels, tasks = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    assert auc(scores, labels) == pytest.approx(pair_auc(scores, labels), nan_ok=True)
    groups = tasks.astype(np.int64)
    by_hand = [pair_auc(scores[groups == g], labels[groups == g]) for g in range(5)]
    assert grouped_auc(scores, labels, groups, 5) == pytest.approx(by_hand, nan_ok=True)
    known = [value for value in by_hand if not math.isnan(value)]
    expected = float(np.mean(known)) if known else math.nan
    assert gauc(scores, labels, groups) == pytest.approx(expected, nan_ok=True)


def test_a_task_constant_raises_the_pooled_auc_only() -> None:
    labels = np.array([1.0, 1, 0, 0, 0, 1])
    tasks = np.array([0, 0, 0, 1, 1, 1])
    flat = np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.3])
    shifted = flat + np.array([5.0, 5, 5, 0, 0, 0])
    assert auc(shifted, labels) > auc(flat, labels)
    assert gauc(shifted, labels, tasks) == gauc(flat, labels, tasks) == 0.5


@given(st.lists(st.tuples(st.floats(-30, 30), st.booleans()), min_size=1, max_size=20))
def test_log_loss_is_the_mean_cross_entropy(rows: list[tuple[float, bool]]) -> None:
    logits, labels = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    expected = np.mean(np.log1p(np.exp(np.where(labels > 0.5, -logits, logits))))
    assert log_loss(logits, labels) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_nothing_to_rank_is_not_a_number() -> None:
    nothing = np.zeros(0)
    assert math.isnan(auc(nothing, nothing))
    assert math.isnan(gauc(nothing, nothing, nothing.astype(np.int64)))
    assert math.isnan(log_loss(nothing, nothing))
