"""Ranks read and score a dataset together: the same scores for any number of ranks, and little read twice."""

from pathlib import Path

import numpy as np
import pytest
from local_job import MANIFEST, write_ratings
from many_ranks import BUILDING
from tests.unit.metaio.made import Task, write_dataset
from threaded_group import run_ranks

from gmeta_api.errors import DataError
from gmeta_api.load import validate
from gmeta_api.spec import PrepareSpec, Spec
from gmeta_worker.metaio import Dataset, Share, StepReader, SupportPolicy
from gmeta_worker.metaio.prepare import run
from gmeta_worker.parallel import ALONE, Group
from gmeta_worker.training.evaluator import Evaluator, Score, headline
from gmeta_worker.training.part import OwnPart
from gmeta_worker.training.run import build_parts, dataset_keys

SPEC = Spec.model_validate(MANIFEST["spec"])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """60 users; 12 of them are in the valid split."""
    folder = tmp_path_factory.mktemp("ratings")
    write_ratings(folder / "ratings.csv")
    run(validate(PrepareSpec, MANIFEST["spec"]["data"]["prepare"]), folder, folder / "dataset")
    return Dataset.open(folder / "dataset")


def scores(dataset: Dataset, group: Group) -> tuple[Score, ...]:
    with BUILDING:
        parts = build_parts(SPEC, dataset, dataset_keys(dataset), group)
    found = Evaluator(parts)(dataset.split("valid"), [0, 1, 4])
    assert sum(score.rows for _, score in found.by_class) == sum(score.rows for score in found.whole)
    return found.whole


@pytest.mark.parametrize("size", [2, 3, 16])
def test_scores_do_not_depend_on_the_number_of_ranks(dataset: Dataset, size: int) -> None:
    """Of 16 ranks some have no task to score. Logits are float32 and depend in their last bits on the batch."""
    alone = scores(dataset, ALONE)
    assert len({score.loss for score in alone}) > 3
    told = run_ranks(size, lambda group: scores(dataset, group))
    assert all(each == told[0] for each in told)
    for ours, theirs in zip(told[0], alone, strict=True):
        assert (ours.shot, ours.adapted, ours.tasks, ours.rows) == (
            theirs.shot,
            theirs.adapted,
            theirs.tasks,
            theirs.rows,
        )
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-6)
        assert (ours.auc, ours.gauc) == pytest.approx((theirs.auc, theirs.gauc), abs=2e-3)
        assert (ours.ndcg_5, ours.ndcg_10) == pytest.approx((theirs.ndcg_5, theirs.ndcg_10), abs=2e-3)
        assert ours.calibration == pytest.approx(theirs.calibration, rel=1e-6)
    assert headline(told[0], adapted=True) != headline(told[0], adapted=False)


CHUNKS, TASKS, ROWS, SIZE = 6, 4, 1500, 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset of large chunks of one step each."""
    write_dataset(tmp_path, [[Task(ROWS, ROWS)] * TASKS] * CHUNKS)
    return tmp_path


def reader_of(folder: Path, rank: int) -> StepReader:
    share = Share(rank, SIZE, OwnPart(rank, (1.0,) * SIZE))
    split = Dataset.open(folder).split("train")
    return StepReader(split, tasks_per_step=TASKS, support=SupportPolicy("fixed", size=1), share=share)


def test_a_chunk_is_read_whole_by_one_rank_and_in_part_by_the_others(folder: Path) -> None:
    readers = [reader_of(folder, rank) for rank in range(SIZE)]
    for reader in readers:
        with reader.epoch(0) as batches:
            assert sum(batch.rows for batch in batches) == CHUNKS * TASKS * ROWS
    whole = sum(chunk.file.bytes for chunk in Dataset.open(folder).split("train").card.chunks)
    assert whole < sum(reader.bytes_read for reader in readers) < 2 * whole


def test_every_rank_is_given_the_same_whole_step_batches(folder: Path) -> None:
    epochs = [list(reader_of(folder, rank).epoch(1)) for rank in range(SIZE)]
    for first, *others in zip(*epochs, strict=True):
        for other in others:
            assert other.positions == first.positions
            assert np.array_equal(other.keys, first.keys)


@pytest.mark.parametrize("damaged", [0, 2, 5])
def test_a_damaged_chunk_is_found_by_one_rank_before_the_step_that_needs_it(folder: Path, damaged: int) -> None:
    file = folder / Dataset.open(folder).split("train").card.chunks[damaged].file.path
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    found = []
    for rank in range(SIZE):
        chunks: list[int] = []
        try:
            chunks.extend(batch.row_ids.start // (TASKS * ROWS) for batch in reader_of(folder, rank).epoch(0))
        except DataError as error:
            found.append((rank, str(error)))
            assert damaged not in chunks
    ((rank, message),) = found
    assert rank == damaged % SIZE
    assert f"split train, chunk {damaged} " in message
