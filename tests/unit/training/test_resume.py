"""A commit by any number of ranks is the same state for any number of ranks, and training goes on from it unbroken."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from committed import commit, resume, train_and_write
from many_ranks import Outcome, all_rows, difference, job, make_batch, train
from threaded_group import run_ranks

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint import Commit
from gmeta_worker.metaio import StepBatch

BATCHES = [make_batch([7, 3, 9, 2, 5], seed) for seed in range(6)]
HALF = 3
OPTIMIZERS = [("SGD", "SGD"), ("Adam", "Adam"), ("Adagrad", "RowWiseAdagrad")]


def committed(dense: str, sparse: str, size: int, run: Path) -> tuple[list[Outcome], Commit]:
    """Half of the steps on `size` ranks, and a commit."""
    spec = job("MAML", dense=dense, sparse=sparse, rate=0.1)
    done = run_ranks(size, lambda group: train_and_write(spec, group, BATCHES[:HALF], run))
    return [outcome for outcome, _ in done], commit(run, [shard for _, shard in done])


def resumed(dense: str, sparse: str, size: int, found: Commit, batches: Sequence[StepBatch]) -> list[Outcome]:
    spec = job("MAML", dense=dense, sparse=sparse, rate=0.1)
    done = run_ranks(size, lambda group: resume(spec, group, found, batches))
    assert all(position.ledger.global_step == HALF for _, position in done)
    assert all(position.progress.best == 0.5 for _, position in done)
    return [outcome for outcome, _ in done]


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    assert all(torch.equal(tensor, right[name]) for name, tensor in left.items())


@pytest.mark.parametrize(("dense", "sparse"), OPTIMIZERS)
@pytest.mark.parametrize(("writers", "readers"), [(2, 1), (2, 3), (4, 2), (1, 4), (2, 2)])
def test_the_state_is_the_same_element_by_element(
    writers: int, readers: int, dense: str, sparse: str, tmp_path: Path
) -> None:
    before, found = committed(dense, sparse, writers, tmp_path)
    after = resumed(dense, sparse, readers, found, [])
    assert_same(all_rows(after), all_rows(before))
    for outcome in after:
        assert_same(outcome.dense, before[0].dense)


@pytest.mark.parametrize(("dense", "sparse"), OPTIMIZERS)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_same_ranks_go_on_bit_by_bit(size: int, dense: str, sparse: str, tmp_path: Path) -> None:
    spec = job("MAML", dense=dense, sparse=sparse, rate=0.1)
    unbroken = run_ranks(size, lambda group: train(spec, group, BATCHES))
    _, found = committed(dense, sparse, size, tmp_path)
    broken = resumed(dense, sparse, size, found, BATCHES[HALF:])
    for ours, theirs in zip(broken, unbroken, strict=True):
        assert_same(ours.rows, theirs.rows)
        assert_same(ours.dense, theirs.dense)
        assert [result.loss for result in ours.results] == [result.loss for result in theirs.results[HALF:]]


@pytest.mark.parametrize(("writers", "readers"), [(2, 1), (2, 3), (4, 2)])
def test_other_ranks_go_on_to_the_same_weights(writers: int, readers: int, tmp_path: Path) -> None:
    """In float64; only the order of sums differs."""
    unbroken = run_ranks(
        writers, lambda group: train(job("MAML", dense="Adam", sparse="Adam", rate=0.1), group, BATCHES)
    )
    _, found = committed("Adam", "Adam", writers, tmp_path)
    broken = resumed("Adam", "Adam", readers, found, BATCHES[HALF:])
    assert difference(all_rows(broken), all_rows(unbroken)) < 1e-9
    assert difference(broken[0].dense, unbroken[0].dense) < 1e-9


def test_what_another_training_loop_remembers_is_refused(tmp_path: Path) -> None:
    _, found = committed("SGD", "SGD", 1, tmp_path)
    foreign = Commit(found.manifest.model_copy(update={"trainer": {"best_so_far": 0.5}}), found.folder)
    with pytest.raises(CheckpointError) as error:
        resumed("SGD", "SGD", 1, foreign, [])
    assert str(error.value) == (
        f"{found.folder}: its manifest's 'trainer' is not that of this version's training loop (Extra inputs are not "
        "permitted); resume with the version that wrote it"
    )


def test_an_optimiser_that_was_changed_is_named_with_the_commit(tmp_path: Path) -> None:
    _, found = committed("SGD", "SGD", 1, tmp_path)
    with pytest.raises(CheckpointError) as error:
        resumed("Adam", "SGD", 1, found, [])
    assert str(error.value) == (
        f"{found.folder}: optimiser state of bottom.0.weight: Adam has exp_avg, exp_avg_sq, step, the commit has none; "
        "use the spec.optimizer.dense.type that wrote the commit"
    )
