"""Any number of ranks train as one, in float64: the same gradients, the same ten steps, the same stop."""

from dataclasses import astuple

import numpy as np
import pytest
import torch
from many_ranks import KEYS, Rank, all_rows, difference, job, make_batch, train
from threaded_group import run_ranks

from gmeta_api.errors import DivergedError
from gmeta_worker.metaio import StepBatch
from gmeta_worker.parallel import ALONE, Group
from gmeta_worker.training.part import Consumed, OwnPart

RAGGED = [5, 1, 12, 3, 30, 2, 7]
SPLITS = {
    "even": (),
    "unequal": (5.0, 1.0, 2.0, 1.0),
    "first rank idle": (0.0, 1.0, 1.0, 1.0),
    "last rank idle": (1.0, 1.0, 3.0, 0.0),
}
TENSORS = dict[str, torch.Tensor]


def expected_update(algorithm: str, batch: StepBatch) -> tuple[TENSORS, TENSORS]:
    """Dense weights and rows after w - gradient, with the mean gradient of the undivided batch and no ranks at all."""
    rank = Rank.of(job(algorithm), ALONE)
    parts = rank.parts
    inputs = parts.assembler(batch)
    gradients = parts.algorithm.gradients(parts.model, parts.store.lookup(inputs.ids), inputs.samples)
    dense = {name: p.detach() - gradients.dense[name] / gradients.weight for name, p in parts.model.named_parameters()}
    weights = rank.rows()["weights"]
    return dense, {"weights": weights.index_add(0, inputs.ids, gradients.rows / -gradients.weight)}


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS.keys())
@pytest.mark.parametrize("algorithm", ["MAML", "FOMAML", "MetaSGD", "Reptile", "Joint"])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_the_gradients_are_those_of_one_process(size: int, algorithm: str, split: tuple[float, ...]) -> None:
    """Plain steps of rate 1 make the update the gradient. Several tasks, support and query share nearly all rows."""
    weights = split[4 - size :] if sum(split[4 - size :]) else ()
    batch = make_batch(RAGGED)
    outcomes = run_ranks(size, lambda group: train(job(algorithm), group, [batch], weights))
    dense, rows = expected_update(algorithm, batch)
    assert all(difference(each.dense, dense) < 1e-10 for each in outcomes)
    assert difference(all_rows(outcomes), rows) < 1e-10


@pytest.mark.parametrize("algorithm", ["MAML", "Reptile", "Joint"])
def test_two_labels_with_missing_values_do_not_feel_the_split(algorithm: str) -> None:
    spec = job(algorithm, rate=0.1, label_weights={"click": 1.0, "order": 0.5})
    batches = [make_batch(RAGGED, seed, labels=2) for seed in range(2)]
    alone = train(spec, ALONE, batches)
    outcomes = run_ranks(3, lambda group: train(spec, group, batches, SPLITS["unequal"][:3]))
    assert all(difference(each.dense, alone.dense) < 1e-10 for each in outcomes)
    assert difference(all_rows(outcomes), all_rows([alone])) < 1e-10
    one_label = train(job(algorithm, rate=0.1), ALONE, [make_batch(RAGGED, seed) for seed in range(2)])
    assert alone.dense["top.1.weight"].shape == (2, one_label.dense["top.1.weight"].shape[1])


@pytest.mark.parametrize("lengths", [[9], [2, 2], []], ids=["one task", "two tasks", "no task at all"])
def test_ranks_without_tasks_go_on(lengths: list[int]) -> None:
    batches = [make_batch(lengths), make_batch(RAGGED, seed=1)]
    alone = train(job("MAML"), ALONE, batches)
    outcomes = run_ranks(4, lambda group: train(job("MAML"), group, batches))
    assert sum(each.results[0].own.tasks == 0 for each in outcomes) >= 4 - len(lengths)
    assert all(difference(each.dense, alone.dense) < 1e-10 for each in outcomes)
    assert difference(all_rows(outcomes), all_rows([alone])) < 1e-10


@pytest.mark.parametrize(
    ("algorithm", "dense", "sparse"),
    [
        ("MAML", "Adam", "RowWiseAdagrad"),
        ("MAML", "SGD", "Adam"),
        ("FOMAML", "Adagrad", "SGD"),
        ("Joint", "AdamW", "Adam"),
    ],
)
@pytest.mark.parametrize("size", [2, 3, 4])
def test_ten_steps_are_those_of_one_process(size: int, algorithm: str, dense: str, sparse: str) -> None:
    """Weights and optimiser state; each step is split in another way."""
    spec = job(algorithm, dense=dense, sparse=sparse, rate=0.05, inner_rate=0.5)
    draw = np.random.default_rng(0)
    batches = [make_batch(draw.integers(1, 15, draw.integers(1, 9)).tolist(), seed) for seed in range(10)]
    alone = train(spec, ALONE, batches)
    outcomes = run_ranks(size, lambda group: train(spec, group, batches, SPLITS["unequal"][:size]))
    assert difference(all_rows(outcomes), all_rows([alone])) < 1e-9
    for each in outcomes:
        assert difference(each.dense, alone.dense) < 1e-9
        assert all(torch.equal(each.dense[name], outcomes[0].dense[name]) for name in each.dense)
        losses = [result.loss for result in each.results]
        assert losses == [result.loss for result in outcomes[0].results]
        assert losses == pytest.approx([result.loss for result in alone.results], rel=1e-9)


def test_the_same_split_gives_the_same_bits() -> None:
    batches = [make_batch(RAGGED, seed) for seed in range(3)]
    spec = job("MAML", dense="Adam", sparse="Adam", rate=0.05)
    first, again = (run_ranks(3, lambda group: train(spec, group, batches)) for _ in range(2))
    for before, after in zip(first, again, strict=True):
        for name, tensor in {**before.dense, **before.rows}.items():
            assert torch.equal(tensor, {**after.dense, **after.rows}[name])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
def test_the_parts_of_the_ranks_are_the_batch_row_by_row(size: int) -> None:
    batch = make_batch(RAGGED)
    parts = [OwnPart(rank, (1.0,) * size)(batch) for rank in range(size)]
    assert [row for part in parts for row in part.row_ids] == list(batch.row_ids)
    assert np.array_equal(np.concatenate([part.keys for part in parts]), batch.keys)
    assert np.array_equal(np.concatenate([part.support for part in parts]), batch.support)
    assert np.array_equal(np.concatenate([part.multi[0].values for part in parts]), batch.multi[0].values)
    assert parts[0].positions[0] == 0
    assert parts[-1].positions[1] == batch.tasks


def test_every_rank_counts_its_own_part_and_the_whole() -> None:
    batch = make_batch(RAGGED)
    results = [each.results[0] for each in run_ranks(3, lambda group: train(job("Joint"), group, [batch]))]
    assert {result.whole for result in results} == {Consumed.of(batch)}
    own = [astuple(result.own) for result in results]
    assert tuple(map(sum, zip(*own, strict=True))) == astuple(Consumed.of(batch))
    assert min(tasks for tasks, _, _ in own) > 0


def test_one_rank_that_is_asked_to_stop_stops_all_at_the_same_step() -> None:
    def one_rank(group: Group) -> list[bool]:
        asked = iter([False, group.rank == 1, False])
        outcome = train(job("MAML"), group, [make_batch(RAGGED)] * 3, stop=lambda: next(asked))
        return [result.stop for result in outcome.results]

    assert run_ranks(3, one_rank) == [[False, True, False]] * 3


def test_a_loss_that_is_not_a_number_on_one_rank_changes_nothing_on_any() -> None:
    """Only the last task, hence the last rank, has the value that is not a number."""
    batch = make_batch(RAGGED)
    batch.numeric[-1] = np.nan

    def one_rank(group: Group) -> tuple[str, bool]:
        rank = Rank.of(job("Joint"), group)
        before = rank.dense() | rank.rows()
        with pytest.raises(DivergedError) as diverged:
            rank.step(batch, 7)
        after = rank.dense() | rank.rows()
        return str(diverged.value), all(torch.equal(before[name], after[name]) for name in before | after)

    ((message, unchanged),) = set(run_ranks(3, one_rank))
    assert unchanged
    assert message.startswith("step 7: the loss is nan; the last commit is intact.")


def test_ranks_hold_the_rows_of_one_process_between_them() -> None:
    alone = Rank.of(job("MAML"), ALONE).rows()
    owned = run_ranks(3, lambda group: train(job("MAML"), group, []))
    assert torch.equal(all_rows(owned)["weights"], alone["weights"])
    assert len(KEYS["movie"]) + len(KEYS["year"]) + 2 == int((alone["weights"].abs().sum(1) > 0).sum())
