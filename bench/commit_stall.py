"""Commits: how long training stands still for one, and how fast it is written, at a table of some GB."""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch

from bench.result import write_result
from gmeta_worker.checkpoint import CommitWriter, Layout, Ledger, Table
from gmeta_worker.coordination.client import CoordinatorClient
from gmeta_worker.coordination.messages import Committed, ShardWritten
from gmeta_worker.embedding import RowStore, Snapshot, build_row_optimizer
from gmeta_worker.training.commits import StateSnapshot
from gmeta_worker.training.committer import Committer
from gmeta_worker.training.early_stop import Progress
from gmeta_worker.training.loop import Position
from gmeta_worker.training.reporting import Sender

DIM = 64
ROWS_A_STEP = 26_000
DENSE = 1_000_000
ALLOWED_STALL = 0.05
ALLOWED_SHARE = 0.03


@dataclass(frozen=True)
class Figures:
    """One commit: seconds, and what the steps beside it took."""

    gigabytes: float
    commit_seconds: float
    stall_seconds: float
    begin_seconds: float
    steps_beside: int
    step_seconds_alone: float
    step_seconds_beside: float
    step_cpu_seconds_alone: float
    step_cpu_seconds_beside: float
    saving_cpu_seconds: float

    @property
    def share(self) -> float:
        """What saving rows takes of a step's time on the processor, while a commit is written."""
        return self.saving_cpu_seconds / self.steps_beside / self.step_cpu_seconds_alone


class Commits:
    """Stands in for a coordinator that commits at once."""

    def shard_written(self, shard: ShardWritten) -> Committed:
        """Commit."""
        return Committed(step=shard.step)


class Training:
    """Steps of one rank: rows looked up and updated, skewed as users and items are, and matrix products between."""

    def __init__(self, rows: int, optimizer: str) -> None:
        self.store = RowStore({"table": rows}, DIM, build_row_optimizer(optimizer), seed=0)
        self.saving = 0.0
        self._rows = rows
        self._draw = np.random.default_rng(0)
        self._samples = torch.randn(2048, 512)
        self._matrix = torch.randn(512, 512)
        self._grads = torch.randn(ROWS_A_STEP, DIM)

    def step(self) -> tuple[float, float]:
        """One step; its seconds, on the clock and on the processor."""
        ids = self._ids()
        started, cpu_started = time.perf_counter(), time.thread_time()
        self.store.lookup(ids)
        x = self._samples
        for _ in range(4):
            x = torch.relu(x @ self._matrix)
        self.store.update(ids, self._grads[: len(ids)], 1e-3)
        return time.perf_counter() - started, time.thread_time() - cpu_started

    def snapshot(self) -> Snapshot:
        """A snapshot that notes what saving rows takes of the processor."""
        snapshot = self.store.snapshot()
        save = snapshot.save

        def timed(places: torch.Tensor, rows: Mapping[str, torch.Tensor]) -> None:
            started = time.thread_time()
            save(places, rows)
            self.saving += time.thread_time() - started

        snapshot.save = timed  # type: ignore[method-assign]
        return snapshot

    def _ids(self) -> torch.Tensor:
        """Half of the rows are among the hottest thousandth, the others anywhere."""
        half = ROWS_A_STEP // 2
        hot = self._draw.integers(0, max(self._rows // 1000, 1), half)
        cold = self._draw.integers(0, self._rows, half)
        return torch.from_numpy(np.unique(self.store.row_ids("table", np.unique(np.concatenate([hot, cold])))))


def main(argv: list[str]) -> int:
    """Print a line for each size and optimiser; fail where training stands still for longer than is allowed."""
    parser = argparse.ArgumentParser(prog="python -m bench commit_stall", description=__doc__)
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.5, 2.0], help="sizes of the table's weights")
    parser.add_argument("--optimizers", nargs="+", default=["RowWiseAdagrad"], help="of the rows")
    parser.add_argument("--folder", type=Path, help="where commits are written; a temporary folder by default")
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    args = parser.parse_args(argv)
    results = {
        f"{optimizer} {size} GB": measure(size, optimizer, args.folder)
        for optimizer in args.optimizers
        for size in args.gigabytes
    }
    for name, figures in results.items():
        print(_line(name, figures))
    if args.out:
        ratios = {f"commit_stall_share {name}": figures.share for name, figures in results.items()}
        write_result(args.out, ratios, {name: asdict(figures) for name, figures in results.items()})
    fine = (each.stall_seconds <= ALLOWED_STALL or each.share <= ALLOWED_SHARE for each in results.values())
    return 0 if all(fine) else 1


def measure(gigabytes: float, optimizer: str, folder: Path | None) -> Figures:
    """Train, commit once while training goes on, and compare the steps."""
    rows = int(gigabytes * 1e9 / 4 / DIM)
    training = Training(rows, optimizer)
    timings: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(dir=folder) as run:
        committer = _committer(Path(run), rows, training.snapshot, lambda *timing: timings.append(timing))
        alone = [training.step() for _ in range(60)][20:]
        started = time.perf_counter()
        committer.commit(Position(Ledger(global_step=1), Progress()), None)
        begin = time.perf_counter() - started
        beside = []
        while not timings:
            beside.append(training.step())
        committer.wait()
    (seconds, stall) = timings[0]
    return Figures(
        gigabytes=gigabytes,
        commit_seconds=seconds,
        stall_seconds=stall,
        begin_seconds=begin,
        steps_beside=len(beside),
        step_seconds_alone=statistics.median(step for step, _ in alone),
        step_seconds_beside=statistics.median(step for step, _ in beside),
        step_cpu_seconds_alone=statistics.median(cpu for _, cpu in alone),
        step_cpu_seconds_beside=statistics.median(cpu for _, cpu in beside),
        saving_cpu_seconds=training.saving,
    )


def _committer(
    run: Path, rows: int, take: Callable[[], Snapshot], committed: Callable[[float, float], None]
) -> Committer:
    layout = Layout(dim=DIM, tables={"table": Table(rows=rows, vocabulary="hash")})
    dense = torch.zeros(DENSE)
    return Committer(
        client=cast("CoordinatorClient", Commits()),
        writer=CommitWriter(run, 0, 1, layout),
        layout=layout,
        sender=Sender(attempt=0, generation=1, rank=0),
        take=lambda: StateSnapshot(take(), {"w": dense.clone()}, {}),
        metric="auc",
        committed=committed,
    )


def _line(name: str, it: Figures) -> str:
    return (
        f"{name}: written in {it.commit_seconds:.1f} s beside {it.steps_beside} steps; {it.begin_seconds * 1e3:.1f} ms "
        f"to begin; saving rows took {it.saving_cpu_seconds * 1e3 / it.steps_beside:.2f} ms of CPU a step, "
        f"{it.share:.2%} of it; on the clock all stalls are {it.stall_seconds * 1e3:.0f} ms; a step took "
        f"{it.step_cpu_seconds_alone * 1e3:.1f} ms of CPU alone and {it.step_cpu_seconds_beside * 1e3:.1f} beside the "
        f"commit, {it.step_seconds_alone * 1e3:.1f} and {it.step_seconds_beside * 1e3:.1f} on the clock"
    )
