"""Operators of the row exchange: distinct ids, routing, adding up gradients, updating rows; plain torch beside fbgemm.

A step's ids are sorted and unique, and a rank owns a contiguous range of them. The owner gets one sorted part from each
rank and adds up the gradients of equal ids. One thread, CPU time, all contestants in turn on the same data; that they
give the same result is checked first. fbgemm is optional: `pip install fbgemm-gpu-cpu==1.8.0` goes with torch 2.13.
"""

import argparse
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from bench.result import Timing, interleave, write_result
from bench.step_operators import IDS, ROWS, Contestants, making_distinct, updating
from gmeta_worker.parallel.exchange import add_up

REPEAT = 10


@dataclass(frozen=True)
class Case:
    """One size of the problem: unique ids a rank and step, of `rows` in all, and their width."""

    ranks: int
    ids: int
    rows: int
    dim: int

    @property
    def name(self) -> str:
        """How the table calls it."""
        return f"{self.ranks} ranks, {self.ids:,} ids each of {self.rows:,}, dim {self.dim}"


CASES = (
    Case(2, 10_000, 40_000, 16),
    Case(2, 10_000, 40_000, 64),
    Case(8, 4_000, 20_000, 16),
    Case(64, 500, 20_000, 64),
)


def sorted_ids(case: Case, seed: int) -> Tensor:
    """The unique ids of one rank's step."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randperm(case.rows, generator=draw)[: case.ids].sort().values


def routing(case: Case) -> Contestants:
    """From sorted ids to what goes to each owner."""
    ids = sorted_ids(case, 0)
    block = -(-case.rows // case.ranks)
    inner = torch.arange(1, case.ranks) * block

    def by_bounds() -> list[int]:
        cuts = torch.searchsorted(ids, inner).tolist()
        return [after - before for before, after in zip([0, *cuts], [*cuts, len(ids)], strict=True)]

    def by_sort() -> list[int]:
        owner = ids // block
        order = owner.sort(stable=True).indices
        ids[order]
        return torch.bincount(owner, minlength=case.ranks).tolist()

    lengths, sizes = torch.tensor([len(ids)]), torch.tensor([block])

    def by_fbgemm() -> list[int]:
        counts = torch.ops.fbgemm.block_bucketize_sparse_features(
            lengths, ids, bucketize_pos=False, sequence=True, block_sizes=sizes, my_size=case.ranks, weights=None
        )[0]
        found: list[int] = counts.tolist()
        return found

    contestants: dict[str, Callable[[], list[int]]] = {"searchsorted at the bounds (ours)": by_bounds}
    contestants |= {"sort by owner": by_sort, "fbgemm block_bucketize": by_fbgemm}
    if not _has_fbgemm():
        del contestants["fbgemm block_bucketize"]
    assert all(run() == by_bounds() for run in contestants.values())
    return contestants


def adding(case: Case) -> Contestants:
    """From the parts of all ranks to unique ids and their summed gradients."""
    parts = [sorted_ids(case, rank) for rank in range(case.ranks)]
    ids, counts = torch.cat(parts), [case.ids] * case.ranks
    grads = torch.randn(len(ids), case.dim, generator=torch.Generator().manual_seed(0))

    def ours() -> tuple[Tensor, Tensor]:
        return add_up(ids, grads, counts)

    def by_unique() -> tuple[Tensor, Tensor]:
        unique, inverse = torch.unique(ids, return_inverse=True)
        return unique, torch.zeros(len(unique), case.dim).index_add_(0, inverse, grads)

    def by_segments() -> tuple[Tensor, Tensor]:
        unique, order, offsets = _segments(ids)
        return unique, torch.segment_reduce(grads[order], "sum", offsets=offsets, unsafe=True)

    def by_fbgemm() -> tuple[Tensor, Tensor]:
        """It adds scalars, so every column is a call."""
        unique, order, offsets = _segments(ids)
        columns = grads.t().contiguous()[:, order]
        return unique, torch.stack([torch.ops.fbgemm.segment_sum_csr(1, offsets, column) for column in columns], 1)

    contestants: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
        "merge + embedding_bag (ours)": ours,
        "unique + index_add": by_unique,
        "sort + segment_reduce": by_segments,
        "sort + fbgemm segment_sum": by_fbgemm,
    }
    if not _has_fbgemm():
        del contestants["sort + fbgemm segment_sum"]
    for run in contestants.values():
        torch.testing.assert_close(run(), by_unique())
    return contestants


def _segments(ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(unique ids, order that sorts them, where each unique one begins and the last one ends)."""
    ordered, order = ids.sort(stable=True)
    unique, counts = torch.unique_consecutive(ordered, return_counts=True)
    return unique, order, torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])


def _has_fbgemm() -> bool:
    try:
        importlib.import_module("fbgemm_gpu")
    except ImportError:
        return False
    return True


def _repeated(run: Callable[[], object]) -> Callable[[], object]:
    def many() -> None:
        for _ in range(REPEAT):
            run()

    return many


def table(title: str, timings: Mapping[str, Timing]) -> Table:
    """Median CPU microseconds, spread, and the ratio to ours."""
    shown = Table(title=title)
    for column in ("operators", "CPU us", "spread", "of ours"):
        shown.add_column(column, justify="left" if column == "operators" else "right")
    ours = next(iter(timings.values())).median_cpu
    for name, timing in timings.items():
        micros = timing.median_cpu / REPEAT * 1e6
        shown.add_row(name, f"{micros:.0f}", f"{timing.spread:.0%}", f"{timing.median_cpu / ours:.2f}")
    return shown


def _comparisons() -> dict[str, Callable[[], Contestants]]:
    found: dict[str, Callable[[], Contestants]] = {f"distinct: {IDS:,} ids of {ROWS:,}": making_distinct}
    found |= {f"update: {IDS:,} rows of {ROWS:,}, dim {dim}": partial(updating, dim) for dim in (16, 64)}
    for case in CASES:
        found |= {f"route: {case.name}": partial(routing, case), f"add up: {case.name}": partial(adding, case)}
    return found


def main(argv: list[str]) -> int:
    """Time every comparison."""
    parser = argparse.ArgumentParser(prog="python -m bench row_operators", description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path, help="also write the result as JSON")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    ratios: dict[str, float] = {}
    figures: dict[str, dict[str, float]] = {}
    for title, make in _comparisons().items():
        timings = interleave({name: _repeated(run) for name, run in make().items()}, arguments.repeats)
        Console().print(table(title, timings))
        ours = next(iter(timings.values())).median_cpu
        ratios |= {f"{title}: {name} / ours": timing.median_cpu / ours for name, timing in timings.items()}
        figures[title] = {f"{name}: CPU us": t.median_cpu / REPEAT * 1e6 for name, t in timings.items()}
    if arguments.out is not None:
        write_result(arguments.out, ratios, figures)
    return 0
