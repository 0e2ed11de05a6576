"""Support and query of a step batch: the first rows of each task batch, or rows drawn anew in every epoch."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gmeta_worker.metaio import StepBatch
from gmeta_worker.training.cut import row_seeds, support_and_query


def batch_of(lengths: list[int], support: list[int], candidates: list[int] | None = None, epoch: int = 0) -> StepBatch:
    rows = sum(lengths)
    return StepBatch(
        epoch=epoch,
        step=0,
        positions=(7, 7 + len(lengths)),
        task_keys=np.arange(len(lengths)),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        support=np.array(support, dtype=np.int64),
        keys=np.zeros((rows, 0), dtype=np.int64),
        multi=(),
        numeric=np.zeros((rows, 0), dtype=np.float32),
        labels=np.zeros((rows, 1), dtype=np.float32),
        row_ids=range(rows),
        candidates=None if candidates is None else np.array(candidates, dtype=np.int64),
    )


def test_the_first_rows_of_each_task_are_support() -> None:
    batch = batch_of([3, 1, 4], [2, 0, 3])
    support, query = support_and_query(batch, row_seeds(batch, 0))
    assert support.tolist() == [0, 1, 4, 5, 6]
    assert query.tolist() == [2, 3, 7]


@st.composite
def drawn_batches(draw: st.DrawFn) -> StepBatch:
    lengths = draw(st.lists(st.integers(1, 12), min_size=1, max_size=6))
    candidates = [draw(st.integers(0, length)) for length in lengths]
    support = [draw(st.integers(0, min(c, n - 1))) for c, n in zip(candidates, lengths, strict=True)]
    return batch_of(lengths, support, candidates)


@given(batch=drawn_batches(), seed=st.integers(0, 2**31))
def test_drawn_rows_are_as_many_as_asked_for_and_only_candidates(batch: StepBatch, seed: int) -> None:
    support, query = support_and_query(batch, row_seeds(batch, seed))
    assert sorted([*support, *query]) == list(range(batch.rows))
    assert batch.candidates is not None
    for task, start in enumerate(batch.offsets[:-1]):
        own = support[(support >= start) & (support < batch.offsets[task + 1])] - start
        assert len(own) == batch.support[task]
        assert (own < batch.candidates[task]).all()


@given(batch=drawn_batches(), cut=st.integers(0, 6))
def test_a_split_over_ranks_draws_the_same_rows(batch: StepBatch, cut: int) -> None:
    cut = min(cut, batch.tasks)
    whole, _ = support_and_query(batch, row_seeds(batch, 5))
    parts = [batch.slice(0, cut), batch.slice(cut, batch.tasks)]
    cuts = [support_and_query(part, row_seeds(part, 5))[0] for part in parts]
    assert [*cuts[0], *(cuts[1] + batch.offsets[cut])] == whole.tolist()
    seeds = np.concatenate([row_seeds(part, 5) for part in parts])
    assert (seeds == row_seeds(batch, 5)).all()


def test_every_epoch_draws_anew_and_every_candidate_in_the_long_run() -> None:
    batch = batch_of([10], [3], [8])
    drawn = [
        tuple(support_and_query(replace(batch, epoch=e), row_seeds(replace(batch, epoch=e), 1))[0]) for e in range(200)
    ]
    counts = np.bincount(np.concatenate(drawn), minlength=10)
    assert len(set(drawn)) > 40  # of 56 sets of 3 of 8
    assert (counts[:8] > 45).all()  # 75 are expected, with a deviation of 7
    assert not counts[8:].any()
