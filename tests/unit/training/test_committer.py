"""Commits are made behind training's back, one after the other, and what goes wrong there is not lost."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import safetensors.torch
import torch

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint import CommitWriter, Layout, Ledger, Score, Table
from gmeta_worker.coordination.client import CoordinatorClient, FencedError
from gmeta_worker.coordination.messages import Committed, ShardWritten
from gmeta_worker.embedding import RowStore, Sgd
from gmeta_worker.training.commits import StateSnapshot
from gmeta_worker.training.committer import Committer
from gmeta_worker.training.early_stop import Progress
from gmeta_worker.training.loop import Position
from gmeta_worker.training.reporting import Sender

LAYOUT = Layout(dim=4, tables={"movie": Table(rows=9000, vocabulary="hash")})
PATIENCE = 60.0


class Coordinator:
    """Commits a step once it is allowed to."""

    def __init__(self) -> None:
        self.handed_in: list[ShardWritten] = []
        self.allowed = threading.Event()
        self.asked = threading.Event()
        self.error: Exception | None = None

    def shard_written(self, shard: ShardWritten) -> Committed:
        self.asked.set()
        assert self.allowed.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        self.handed_in.append(shard)
        return Committed(step=shard.step)


class Bench:
    """A committer with a real store and real files."""

    def __init__(self, folder: Path) -> None:
        self.store = RowStore({"movie": 9000}, 4, Sgd(), 3)
        self.coordinator = Coordinator()
        self.timings: list[tuple[float, float]] = []
        self.folder = folder
        self.committer = Committer(
            client=cast("CoordinatorClient", self.coordinator),
            writer=CommitWriter(folder, 0, 1, LAYOUT),
            layout=LAYOUT,
            sender=Sender(attempt=0, generation=1, rank=0),
            take=lambda: StateSnapshot(self.store.snapshot(), {"w": torch.ones(2)}, {}),
            metric="auc",
            committed=lambda seconds, stall: self.timings.append((seconds, stall)),
        )

    def commit(self, step: int, value: float | None = None) -> None:
        self.committer.commit(Position(Ledger(global_step=step), Progress(best=0.5)), value)

    def train(self) -> None:
        ids = torch.from_numpy(self.store.row_ids("movie", torch.arange(0, 9000, 3).numpy()))
        self.store.update(ids, torch.ones(len(ids), 4), 0.1)

    def written(self, step: int) -> Any:
        return safetensors.torch.load_file(self.folder / f"a0/s{step}/rows-0000-4096.g1.safetensors")["weights"]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.coordinator.allowed.set()


def test_training_goes_on_while_a_commit_is_made(bench: Bench) -> None:
    before = bench.store.export_blocks(0, 4096)["weights"]
    bench.commit(5, value=0.7)
    for _ in range(3):
        bench.train()
        bench.committer.check()
    assert bench.coordinator.asked.wait(PATIENCE)
    assert bench.coordinator.handed_in == []
    bench.coordinator.allowed.set()
    bench.committer.wait()
    (shard,) = bench.coordinator.handed_in
    assert (shard.step, shard.evaluation, shard.trainer) == (
        5, Score(metric="auc", value=0.7), {"best": 0.5, "since_best": 0},
    )  # fmt: skip
    assert (shard.attempt, shard.generation, shard.rank) == (0, 1, 0)
    assert [file.kind for file in shard.files] == ["dense", "rows"]
    assert torch.equal(bench.written(5), before)
    ((seconds, stall),) = bench.timings
    assert 0 < stall < seconds


def test_the_next_commit_waits_for_the_one_before_it(bench: Bench) -> None:
    bench.commit(5)
    threading.Timer(0.3, bench.coordinator.allowed.set).start()
    bench.train()
    bench.commit(6)
    bench.committer.wait()
    assert [shard.step for shard in bench.coordinator.handed_in] == [5, 6]
    assert not torch.equal(bench.written(5), bench.written(6))
    assert bench.timings[1][1] >= 0.2, "waiting is standing still"
    bench.committer.wait()
    bench.committer.check()


def by_check(bench: Bench) -> None:
    """As a training loop does, once a step."""
    while True:
        bench.committer.check()


def by_next_commit(bench: Bench) -> None:
    bench.commit(6)


def by_wait(bench: Bench) -> None:
    bench.committer.wait()


@pytest.mark.parametrize("act", [by_check, by_next_commit, by_wait])
def test_a_file_that_cannot_be_written_is_named_by_the_next_call(act: Callable[[Bench], None], bench: Bench) -> None:
    (bench.folder / "a0").mkdir()
    (bench.folder / "a0" / "s5").write_text("in the way")
    bench.commit(5)
    with pytest.raises(CheckpointError) as error:
        act(bench)
    assert str(error.value).startswith(f"{bench.folder}/a0/s5: cannot write dense.g1.safetensors (")
    assert bench.timings == []
    assert bench.store.snapshot() is not None, "the failed commit's snapshot is closed"


def test_a_fenced_rank_hears_of_it(bench: Bench) -> None:
    bench.coordinator.error = FencedError("another process has taken over")
    bench.coordinator.allowed.set()
    bench.commit(5)
    with pytest.raises(FencedError):
        by_check(bench)
    bench.committer.check()
