"""A step begins the next one ahead: nothing of a run changes by it, however it ends."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

import pytest
import torch
from many_ranks import Rank, job, make_batch, train
from threaded_group import run_ranks
from torch import Tensor

from gmeta_api.spec import EvaluationSpec, TrainingSpec
from gmeta_worker.metaio import StepBatch
from gmeta_worker.parallel import ALONE, Group, Handle, Transfer
from gmeta_worker.training.commits import start_position
from gmeta_worker.training.loop import LoopActions, Stop, TrainingLoop, with_following
from gmeta_worker.training.phase_plan import PhasePlan
from gmeta_worker.training.phases import PhaseClock

BATCHES = [make_batch(lengths, seed) for seed, lengths in enumerate([[5, 1, 12, 3], [4], [2, 9], [30, 2], [1, 1, 1]])]


@pytest.mark.parametrize("sparse", ["SGD", "Adam"])
@pytest.mark.parametrize("size", [1, 3])
def test_the_bits_are_those_of_steps_begun_one_by_one(size: int, sparse: str) -> None:
    spec = job("MAML", dense="Adam", sparse=sparse, rate=0.05)
    ahead = run_ranks(size, lambda group: train(spec, group, BATCHES))
    one_by_one = run_ranks(size, lambda group: train(spec, group, BATCHES, ahead=False))
    for left, right in zip(ahead, one_by_one, strict=True):
        assert [each.loss for each in left.results] == [each.loss for each in right.results]
        states = left.dense | left.rows, right.dense | right.rows
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0] | states[1])


class _Reader:
    """Epochs of the five batches."""

    def steps(self) -> int:
        return len(BATCHES)

    def epoch(self, _: int, first_step: int) -> AbstractContextManager[Sequence[StepBatch]]:
        return nullcontext(BATCHES[first_step:])


@pytest.mark.parametrize("stopped_at", [None, 0, 3])
def test_a_loop_of_ranks_ends_alike_wherever_it_is_stopped(stopped_at: int | None) -> None:
    """Two epochs and a half; between steps ranks look up rows, as an evaluation does, while ids are on their way."""
    total = 2 * len(BATCHES) + 2

    def one_rank(group: Group) -> tuple[list[float], list[int], Stop, Tensor]:
        asked = iter(number == stopped_at and group.rank == 1 for number in range(total))
        rank = Rank.of(job("MAML", rate=0.1), group, stop=lambda: next(asked))
        losses: list[float] = []
        begun: list[int] = []

        def step(batch: StepBatch, number: int, following: StepBatch | None) -> Any:
            begun.append(following is not None)
            result = rank.step(batch, number, following)
            losses.append(result.loss)
            return result

        def evaluate(*_: object) -> Any:
            rank.parts.exchange.route(rank.parts.assembler(BATCHES[0]).ids).fetch(rank.parts.store.lookup)
            return _Score()

        spec = TrainingSpec(steps=total, evaluation=EvaluationSpec(every_steps=2))
        actions = LoopActions(step, lambda *_: None, evaluate, lambda *_: None)
        reader, phases = cast("Any", _Reader()), PhasePlan(("MAML",), (0,), total)
        _, stop = TrainingLoop(spec, 3, phases, reader, actions, PhaseClock()).run(start_position())
        return losses, begun, stop, rank.rows()["weights"]

    found = run_ranks(3, one_rank)
    steps = total if stopped_at is None else stopped_at + 1
    batches = [BATCHES[number % len(BATCHES)] for number in range(steps)]
    expected = run_ranks(3, lambda group: train(job("MAML", rate=0.1), group, batches, ahead=False))
    for (losses, begun, stop, rows), plain in zip(found, expected, strict=True):
        assert losses == [result.loss for result in plain.results]
        assert torch.equal(rows, plain.rows["weights"])
        assert stop is (Stop.FINISHED if stopped_at is None else Stop.INTERRUPTED)
        assert begun == [number % 5 < 4 and number + 1 < total for number in range(steps)]


class _Score:
    auc = 0.5


@dataclass(frozen=True)
class _Traced:
    """A group that tells what begins and what is waited for."""

    group: Group
    told: list[str]

    @property
    def rank(self) -> int:
        return self.group.rank

    @property
    def size(self) -> int:
        return self.group.size

    def all_reduce(self, flat: Tensor) -> Handle:
        self.told.append("AllReduce begins")
        return _TracedHandle(self.group.all_reduce(flat), self.told)

    def all_to_all(self, send: Tensor, send_counts: Sequence[int], recv_counts: Sequence[int]) -> Transfer:
        what = f"{str(send.dtype).removeprefix('torch.')}[{'n' if send.dim() == 1 else 'n, dim'}]"
        self.told.append(f"{what} leave")
        return _TracedTransfer(self.group.all_to_all(send, send_counts, recv_counts), self.told, f"{what} awaited")


@dataclass(frozen=True)
class _TracedHandle:
    handle: Handle
    told: list[str]

    def wait(self) -> None:
        self.told.append("AllReduce awaited")
        self.handle.wait()


@dataclass(frozen=True)
class _TracedTransfer:
    transfer: Transfer
    told: list[str]
    event: str

    def wait(self) -> Tensor:
        self.told.append(self.event)
        return self.transfer.wait()


def test_what_travels_while_a_step_computes() -> None:
    """The trace of a step that has another one behind it: numbers are float64, ids and counts int64."""

    def one_rank(group: Group) -> list[str]:
        told: list[str] = []
        rank = Rank.of(job("FOMAML"), _Traced(group, told))
        rank.step(BATCHES[1], 0, BATCHES[0])
        told.clear()
        rank.parts.model.register_forward_pre_hook(lambda *_: told.append("forward"))
        rank.step(BATCHES[0], 1, BATCHES[2])
        return [event for event, _ in groupby(told)]

    for told in run_ranks(2, one_rank):
        assert told == [
            "int64[n] leave",  # how many ids the next step wants
            "int64[n] awaited",  # this step's ids, which left during the last one
            "float64[n, dim] leave",  # rows, read after the last update
            "float64[n, dim] awaited",
            "int64[n] awaited",
            "int64[n] leave",  # the next step's ids
            "forward",
            "AllReduce begins",
            "float64[n, dim] leave",  # row gradients, while the dense ones are on their way
            "float64[n, dim] awaited",
            "AllReduce awaited",
        ]


def test_what_was_begun_must_be_what_comes_next() -> None:
    rank = Rank.of(job("MAML"), ALONE)
    rank.step(BATCHES[0], 0, BATCHES[1])
    with pytest.raises(AssertionError, match="what was begun ahead is the next step"):
        rank.step(BATCHES[2], 1)


def test_every_item_comes_with_the_next_and_an_error_comes_one_item_early() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2, 3)
        raise ValueError("a damaged chunk")

    pairs = with_following(items())
    assert [next(pairs), next(pairs)] == [(1, 2), (2, 3)]
    with pytest.raises(ValueError, match="a damaged chunk"):
        next(pairs)
    assert list(with_following([1, 2, 3])) == [(1, 2), (2, 3), (3, None)]
    assert not list(with_following(range(0)))
