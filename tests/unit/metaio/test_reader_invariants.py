"""What holds for every dataset, reader and epoch: hypothesis over sizes, against the content of the rows themselves."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.metaio.made import Task, row_content, write_dataset

from gmeta_worker.metaio import Dataset, EvaluationReader, Split, StepBatch, StepReader, SupportPolicy

Content = list[list[Task]]

UNIFORM = SupportPolicy("uniform", min=0, max=6)

tasks = st.integers(1, 9).flatmap(lambda rows: st.builds(Task, st.just(rows), st.integers(0, rows)))
chunks = st.lists(st.lists(tasks, min_size=1, max_size=9), min_size=1, max_size=5)
policies = st.sampled_from(
    [SupportPolicy("fixed", size=0), SupportPolicy("fixed", size=3), UNIFORM, SupportPolicy("column")]
)
readers = st.fixed_dictionaries(
    {
        "tasks_per_step": st.integers(1, 5),
        "support": policies,
        "max_task_rows": st.none() | st.integers(2, 5),
        "seed": st.integers(0, 2**63 - 1),
        "prefetch": st.integers(1, 3),
    }
)
modest = settings(max_examples=60, deadline=None)


@contextmanager
def made(content: Content) -> Iterator[Split]:
    with tempfile.TemporaryDirectory() as folder:
        yield write_dataset(Path(folder), content).split("train")


def epoch_of(reader: StepReader, epoch: int, first_step: int = 0) -> list[StepBatch]:
    with reader.epoch(epoch, first_step) as batches:
        return list(batches)


def assert_same(left: StepBatch, right: StepBatch) -> None:
    assert (left.epoch, left.step, left.positions, left.row_ids) == (
        right.epoch,
        right.step,
        right.positions,
        right.row_ids,
    )
    for name in ("task_keys", "offsets", "support", "keys", "numeric", "labels"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), strict=True)
    for one, other in zip(left.multi, right.multi, strict=True):
        np.testing.assert_array_equal(one.offsets, other.offsets, strict=True)
        np.testing.assert_array_equal(one.values, other.values, strict=True)


@given(chunks, readers, st.integers(0, 3))
@modest
def test_every_row_is_read_exactly_once_an_epoch_with_its_own_content(
    content: Content, arguments: dict[str, Any], epoch: int
) -> None:
    with made(content) as split:
        batches = epoch_of(StepReader(split, **arguments), epoch)
        seen = Counter(row for batch in batches for row in batch.row_ids)
        assert seen == Counter(range(split.card.rows))
        for batch in batches:
            for place, row in enumerate(batch.row_ids):
                expected = row_content(row, int(batch.keys[place, 1]))
                assert batch.keys[place].tolist() == expected["keys"]
                assert batch.numeric[place].tolist() == expected["numeric"]
                assert batch.labels[place].tolist() == expected["labels"]
                (copies,) = batch.multi
                values = copies.values[copies.offsets[place] : copies.offsets[place + 1]]
                assert values.tolist() == expected["multi:copies"]


@given(chunks, readers)
@modest
def test_no_task_batch_mixes_tasks_and_none_is_without_rows(content: Content, arguments: dict[str, Any]) -> None:
    with made(content) as split:
        for batch in epoch_of(StepReader(split, **arguments), 0):
            assert batch.offsets[0] == 0
            assert batch.offsets[-1] == batch.rows
            for task, (first, last) in enumerate(pairwise(batch.offsets.tolist())):
                assert last > first
                assert set(batch.keys[first:last, 1].tolist()) == {batch.task_keys[task]}


@given(chunks, readers)
@modest
def test_support_is_a_prefix_of_ranked_rows_and_leaves_a_query_row(content: Content, arguments: dict[str, Any]) -> None:
    with made(content) as split:
        ranked_ids = _ranked_ids(content)
        for batch in epoch_of(StepReader(split, **arguments), 2):
            for task, (first, last) in enumerate(pairwise(batch.offsets.tolist())):
                size = int(batch.support[task])
                assert 0 <= size < last - first
                assert set(batch.row_ids[first : first + size]) <= ranked_ids
                assert size <= (arguments["support"].size or 9)


def _ranked_ids(content: Content) -> set[int]:
    ids, row = set(), 0
    for task in (task for chunk in content for task in chunk):
        ids |= set(range(row, row + task.ranked))
        row += task.rows
    return ids


@given(chunks, readers, st.data())
@modest
def test_any_split_over_ranks_reassembles_the_step(
    content: Content, arguments: dict[str, Any], data: st.DataObject
) -> None:
    with made(content) as split:
        for batch in epoch_of(StepReader(split, **arguments), 1):
            cuts = sorted(data.draw(st.lists(st.integers(0, batch.tasks), max_size=3)))
            parts = [batch.slice(lo, hi) for lo, hi in pairwise([0, *cuts, batch.tasks])]
            assert [part.positions[0] for part in parts[1:]] == [part.positions[1] for part in parts[:-1]]
            assert (parts[0].positions[0], parts[-1].positions[1]) == batch.positions
            for name in ("task_keys", "support", "keys", "numeric", "labels", "row_ids"):
                whole = [value for part in parts for value in np.asarray(getattr(part, name)).tolist()]
                assert whole == np.asarray(getattr(batch, name)).tolist()
            lengths = [length for part in parts for length in np.diff(part.offsets).tolist()]
            assert lengths == np.diff(batch.offsets).tolist()
            values = [value for part in parts for value in part.multi[0].values.tolist()]
            assert values == batch.multi[0].values.tolist()
            assert all(part.multi[0].offsets[0] == 0 for part in parts)


@given(chunks, readers, st.integers(0, 3), st.integers(1, 9))
@modest
def test_order_depends_on_seed_and_epoch_only(
    content: Content, arguments: dict[str, Any], epoch: int, prefetch: int
) -> None:
    with made(content) as split:
        first = epoch_of(StepReader(split, **arguments), epoch)
        again = StepReader(
            Split(split.root, split.name, split.card, split.schema), **arguments | {"prefetch": prefetch}
        )
        epoch_of(again, epoch + 1)
        for left, right in zip(first, epoch_of(again, epoch), strict=True):
            assert_same(left, right)


@given(chunks, readers)
@modest
def test_steps_count_and_positions_tile_the_epoch(content: Content, arguments: dict[str, Any]) -> None:
    with made(content) as split:
        reader = StepReader(split, **arguments)
        for epoch in (0, 1):
            batches = epoch_of(reader, epoch)
            assert [batch.step for batch in batches] == list(range(reader.steps()))
            assert {batch.epoch for batch in batches} == {epoch}
            ends = [0, *(batch.positions[1] for batch in batches)]
            assert [batch.positions[0] for batch in batches] == ends[:-1]
            assert all(batch.positions[1] - batch.positions[0] == batch.tasks for batch in batches)
            assert max(batch.tasks for batch in batches) <= arguments["tasks_per_step"]


@given(chunks, readers)
@modest
def test_a_chunk_is_read_once_and_its_steps_are_equal_within_one_task(
    content: Content, arguments: dict[str, Any]
) -> None:
    with made(content) as split:
        reader = StepReader(split, **arguments)
        batches = epoch_of(reader, 0)
        chunk = [int(np.searchsorted(split.row_offsets, batch.row_ids[0], side="right")) for batch in batches]
        changes = sum(left != right for left, right in pairwise(chunk))
        assert changes == len(content) - 1
        assert reader.bytes_read == sum(each.file.bytes for each in split.card.chunks)
        for number in set(chunk):
            sizes = [batch.tasks for batch, each in zip(batches, chunk, strict=True) if each == number]
            assert max(sizes) - min(sizes) <= 1


@given(chunks, readers, st.data())
@modest
def test_an_epoch_resumed_at_a_step_is_the_tail_of_the_epoch(
    content: Content, arguments: dict[str, Any], data: st.DataObject
) -> None:
    with made(content) as split:
        reader = StepReader(split, **arguments)
        first_step = data.draw(st.integers(0, reader.steps()))
        tail = epoch_of(reader, 3)[first_step:]
        for left, right in zip(tail, epoch_of(StepReader(split, **arguments), 3, first_step), strict=True):
            assert_same(left, right)


@given(chunks, st.integers(0, 9), st.integers(1, 5))
@modest
def test_evaluation_reads_every_task_whole_in_file_order(content: Content, k: int, tasks_per_step: int) -> None:
    with made(content) as split:
        batches = list(EvaluationReader(split, tasks_per_step=tasks_per_step).batches(k))
        tasks = [task for chunk in content for task in chunk]
        assert [row for batch in batches for row in batch.row_ids] == list(range(split.card.rows))
        assert [rows for batch in batches for rows in np.diff(batch.offsets)] == [task.rows for task in tasks]
        support = [size for batch in batches for size in batch.support]
        assert support == [min(k, task.ranked, task.rows - 1) for task in tasks]
        assert max(batch.tasks for batch in batches) <= tasks_per_step


@given(chunks, st.integers(0, 2**32))
@modest
def test_a_uniform_draw_belongs_to_the_task_whatever_the_step_size(content: Content, seed: int) -> None:
    with made(content) as split:
        drawn = []
        for tasks_per_step in (1, 4):
            reader = StepReader(split, tasks_per_step=tasks_per_step, support=UNIFORM, seed=seed)
            batches = epoch_of(reader, 5)
            drawn.append({key: k for b in batches for key, k in zip(b.task_keys, b.support, strict=True)})
        assert drawn[0] == drawn[1]


def test_epochs_differ_in_order_and_in_support_sizes(tmp_path: Path) -> None:
    split = write_dataset(tmp_path, [[Task(9, 9)] * 8] * 8).split("train")
    reader = StepReader(split, tasks_per_step=2, support=UNIFORM, seed=1)
    first, second = epoch_of(reader, 0), epoch_of(reader, 1)
    assert [batch.row_ids for batch in first] != [batch.row_ids for batch in second]
    assert {b.row_ids: b.support.tolist() for b in first} != {b.row_ids: b.support.tolist() for b in second}


def test_vocabulary_and_counters(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path, [[Task(4, 4)] * 3] * 2)
    assert Dataset.open(tmp_path).vocabulary("row").tolist() == list(range(24))
    reader = StepReader(dataset.split("train"), tasks_per_step=3, support=UNIFORM)
    with reader.epoch(0) as batches:
        next(batches)
        next(batches)
        assert reader.queue_depth == 0
    assert reader.wait_seconds > 0


def test_queue_depth_counts_step_batches(tmp_path: Path) -> None:
    split = write_dataset(tmp_path, [[Task(4, 4)] * 6]).split("train")
    reader = StepReader(split, tasks_per_step=2, support=UNIFORM)
    with reader.epoch(0) as batches:
        assert [reader.queue_depth for _ in batches] == [2, 1, 0]
