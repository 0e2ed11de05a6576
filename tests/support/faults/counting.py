"""The counting model: row r grows by exactly 1 when sample r is trained on, so the weights are the ledger."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray

from gmeta_worker.checkpoint import Commit, Layout, Ledger, Table, load_commit
from gmeta_worker.embedding import BLOCKS, RowStore, Sgd

Ints = NDArray[np.int64]
STEPS = "model/steps"


@dataclass(frozen=True)
class Order:
    """The global order of a small dataset: tasks of one to four samples, shuffled anew in every epoch.

    Attributes:
        seed: of the order.
        epochs: epochs of the run.
        steps: steps of an epoch.
        tasks_per_step: task batches of a step.
    """

    seed: int
    epochs: int
    steps: int
    tasks_per_step: int

    @cached_property
    def tasks(self) -> list[Ints]:
        """The samples of each task."""
        draw, first = Random(self.seed), 0
        tasks = []
        for _ in range(self.steps * self.tasks_per_step):
            size = draw.randint(1, 4)
            tasks.append(np.arange(first, first + size))
            first += size
        return tasks

    @property
    def samples(self) -> int:
        return sum(len(task) for task in self.tasks)

    @property
    def layout(self) -> Layout:
        return Layout(dim=1, tables={"samples": Table(rows=self.samples, vocabulary="hash")})

    def step(self, epoch: int, step: int) -> list[Ints]:
        """The tasks of a step."""
        order = list(range(len(self.tasks)))
        Random(f"{self.seed}/{epoch}").shuffle(order)
        return [self.tasks[task] for task in order[step * self.tasks_per_step : (step + 1) * self.tasks_per_step]]

    def counts(self, ledger: Ledger) -> Ints:
        """How often each sample has been trained on when a run stands at `ledger`, if each is once an epoch."""
        counts = np.full(self.samples, ledger.epoch)
        for step in range(ledger.step):
            counts[np.concatenate(self.step(ledger.epoch, step))] += 1
        return counts

    # What the training loop asks of a reader: steps of an epoch, and an epoch's batches from a step on.

    @contextmanager
    def epoch(self, epoch: int, first: int) -> Iterator[Iterator[list[Ints]]]:
        yield (self.step(epoch, step) for step in range(first, self.steps))


class CountingRows:
    """One rank's rows, all zero at first."""

    def __init__(self, order: Order, owned: range, commit: Commit | None) -> None:
        self.store = RowStore({"samples": order.samples}, 1, Sgd(), 0, owned=owned)
        self.steps = torch.zeros((), dtype=torch.int64)
        if commit is None:
            self.store.import_blocks(owned.start, owned.stop, {"weights": torch.zeros(len(owned), 1)})
            return
        loaded = load_commit(commit)
        self.steps = loaded.dense[STEPS]
        for lo, hi, tensors in loaded.row_groups(owned):
            self.store.import_blocks(lo, hi, tensors)

    def train(self, samples: Ints) -> None:
        """One step: count those of `samples` whose rows are here."""
        ids, times = np.unique(self.store.row_ids("samples", samples), return_counts=True)
        mine = self.store.owns(ids)
        gradients = -torch.from_numpy(times[mine, None].astype(np.float32))
        self.store.update(torch.from_numpy(ids[mine]), gradients, 1.0)
        self.steps = self.steps + 1


def wrong_counts(order: Order, commit: Commit) -> str | None:
    """What is wrong with the counts of a commit, measured against its own ledger."""
    ledger = commit.manifest.ledger
    rows = CountingRows(order, range(BLOCKS), commit)
    found = rows.store.lookup(torch.from_numpy(rows.store.row_ids("samples", np.arange(order.samples)))).flatten()
    expected = order.counts(ledger)
    wrong = np.flatnonzero(found.numpy() != expected)
    if len(wrong):
        first = int(wrong[0])
        return (
            f"{commit.folder}: {len(wrong)} samples were not counted once an epoch up to {ledger}; sample {first}: "
            f"{float(found[first])} times, expected {expected[first]}"
        )
    if int(rows.steps) != ledger.global_step or ledger.samples != int(expected.sum()):
        return f"{commit.folder}: the dense part has {int(rows.steps)} steps, the ledger is {ledger}"
    return None
