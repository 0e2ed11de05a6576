"""From step batches to packed samples: every row lands where it belongs, whatever the shapes."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gmeta_worker.embedding import ExactVocabulary, HashVocabulary, RowStore, Sgd, Vocabulary
from gmeta_worker.meta import Samples
from gmeta_worker.metaio import Feature, Ragged, Schema, StepBatch
from gmeta_worker.training.inputs import InputAssembler, take_ragged

SCHEMA = Schema(
    categorical=(Feature("movie", "movie"), Feature("year", "year")),
    multi=(Feature("history", "movie"),),
    numeric=("age",),
    labels=("click",),
)
VOCABULARIES: dict[str, Vocabulary] = {"movie": ExactVocabulary(np.arange(0, 40, 2)), "year": HashVocabulary(7)}
STORE = RowStore({name: v.rows for name, v in VOCABULARIES.items()}, 3, Sgd(), seed=0)


@st.composite
def step_batches(draw: st.DrawFn) -> StepBatch:
    """Random tasks; keys 0..49, of which the movie vocabulary knows the even ones below 40."""
    lengths = np.array(draw(st.lists(st.integers(1, 6), min_size=1, max_size=5)), dtype=np.int64)
    support = np.array([draw(st.integers(0, int(n) - 1)) for n in lengths], dtype=np.int64)
    rows = int(lengths.sum())
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    list_lengths = random.integers(0, 4, rows)
    offsets = np.concatenate([[0], np.cumsum(list_lengths)])
    return StepBatch(
        epoch=0,
        step=0,
        positions=(0, len(lengths)),
        task_keys=np.arange(len(lengths)),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        support=support,
        keys=random.integers(0, 50, (rows, 2)),
        multi=(Ragged(offsets, random.integers(0, 50, int(offsets[-1]))),),
        numeric=random.normal(size=(rows, 1)).astype(np.float32),
        labels=random.integers(0, 2, (rows, 1)).astype(np.float32),
        row_ids=range(rows),
    )


def global_id(table: str, key: int) -> int:
    row = VOCABULARIES[table].index(np.array([key]))
    return int(STORE.row_ids(table, row)[0])


def described(samples: Samples, ids: torch.Tensor) -> list[tuple[object, ...]]:
    """Each packed sample in plain terms: task, label, numeric, and the global ids that it looks up."""
    plain: list[tuple[object, ...]] = []
    for n in range(len(samples)):
        history = samples.multi[0]
        listed = history.values[int(history.offsets[n]) : int(history.offsets[n + 1])]
        plain.append(
            (
                int(samples.task[n]),
                float(samples.labels[n]),
                float(samples.numeric[n, 0]),
                ids[samples.index[n]].tolist(),
                ids[listed].tolist(),
            )
        )
    return plain


@settings(deadline=None, max_examples=60)
@given(step_batches())
def test_every_sample_is_packed_with_its_task_features_and_rows(batch: StepBatch) -> None:
    inputs = InputAssembler(SCHEMA, VOCABULARIES, STORE)(batch)
    expected: dict[bool, list[tuple[object, ...]]] = {True: [], False: []}
    for task, count in enumerate(batch.support.tolist()):
        for row in range(int(batch.offsets[task]), int(batch.offsets[task + 1])):
            history = batch.multi[0]
            listed = history.values[history.offsets[row] : history.offsets[row + 1]]
            expected[row < batch.offsets[task] + count].append(
                (
                    task,
                    float(batch.labels[row, 0]),
                    float(batch.numeric[row, 0]),
                    [global_id("movie", batch.keys[row, 0]), global_id("year", batch.keys[row, 1])],
                    [global_id("movie", key) for key in listed],
                )
            )
    assert described(inputs.samples.support, inputs.ids) == expected[True]
    assert described(inputs.samples.query, inputs.ids) == expected[False]
    assert inputs.samples.tasks == batch.tasks


@settings(deadline=None, max_examples=60)
@given(step_batches())
def test_one_lookup_serves_both_sets_and_names_the_table_of_each_row(batch: StepBatch) -> None:
    inputs = InputAssembler(SCHEMA, VOCABULARIES, STORE)(batch)
    assert torch.equal(inputs.ids, inputs.ids.unique())
    movies = {global_id("movie", key) for key in [*batch.keys[:, 0].tolist(), *batch.multi[0].values.tolist()]}
    years = {global_id("year", key) for key in batch.keys[:, 1].tolist()}
    tables = dict(zip(inputs.ids.tolist(), inputs.samples.tables.tolist(), strict=True))
    assert tables == {**dict.fromkeys(movies, 0), **dict.fromkeys(years, 1)}


def test_take_ragged_keeps_the_order_asked_for_and_empty_lists() -> None:
    taken = take_ragged(Ragged(np.array([0, 2, 2, 5]), np.array([1, 2, 3, 4, 5])), np.array([2, 1, 0]))
    assert taken.offsets.tolist() == [0, 3, 3, 5]
    assert taken.values.tolist() == [3, 4, 5, 1, 2]
