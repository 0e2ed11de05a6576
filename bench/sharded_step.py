"""CPU time of a training step on two ranks: the product's beside TorchRec's, on the same model, rows and samples.

DLRM with 26 tables, 13 numeric columns, bottom 256, top 256-128, global batch 2048, one id a feature, row-wise Adagrad;
two processes of one thread, gloo. All contestants live in the same processes and take turns. TorchRec gets ready row
numbers in its own layout; the product's step begins with raw keys (hashing, unique ids, packing) and is also shown
without that. `EmbeddingCollection` (EC) gives rows as meta-learning needs them; the pooled `EmbeddingBagCollection`
(EBC) does not, and is shown as the fastest of TorchRec. Checked first: all contestants start from the same weights, and
their losses agree over steps that overfit one batch, so all of them train. Keys are uniform, or skewed by Zipf's law
with exponent 1.1. Needs bench/requirements-torchrec.txt.
"""

import argparse
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from bench.dlrm_job import build, job, make_batch
from bench.goals import Goal, goals_by_ending
from bench.ranks import run_ranks
from bench.result import publish
from bench.torchrec_peer import Tables, Theirs
from gmeta_api.spec import Spec
from gmeta_worker.metaio import StepBatch
from gmeta_worker.parallel import Group
from gmeta_worker.training.components import Components
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.part import OwnPart
from gmeta_worker.training.phase_plan import PhasePlan
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.step import TrainingStep

SAMPLES, WARMUP, OVERFIT = 2048, 3, 8
KEYS = {"uniform": 0.0, "skewed": 1.1}
"""Exponent of the keys' popularity by Zipf's law."""
KINDS = {
    "TorchRec EC, row-wise": ("sequence", "row_wise"),
    "TorchRec EBC, row-wise": ("pooled", "row_wise"),
    "TorchRec EBC, table-wise": ("pooled", "table_wise"),
}
OURS, OURS_AFTER_INPUT = "G-Meta, raw keys to update", "G-Meta, after its input"
GOALS = {
    f": TorchRec EC, row-wise / {OURS}": Goal(1.7, 2.2),
    f": TorchRec EBC, row-wise / {OURS}": Goal(1.0),
}

Step = Callable[[StepBatch], float]


class Ours:
    """The product's training step, ordinary training on all samples."""

    def __init__(self, spec: Spec, parts: Components) -> None:
        self.clock = PhaseClock(time.process_time)
        optimizer = DenseOptimizer(spec.optimizer.dense, parts.model)
        part = OwnPart.even(parts.group)
        self._step = TrainingStep(
            parts, optimizer, spec.optimizer, PhasePlan(spec.algorithms, (0,), 1), part, lambda: False, self.clock
        )

    def __call__(self, batch: StepBatch) -> float:
        """Train; the mean loss of all ranks."""
        return self._step(batch, 0).loss


def work(group: Group, dim: int, rows: int, zipf: float, repeats: int) -> dict[str, list[float]]:
    """One rank: check that all train alike, then CPU seconds of every step by contestant."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    spec = job("Joint", dim, rows)
    parts = build(spec, group)
    tables = Tables(rows, dim)
    theirs = {name: Theirs(parts, tables, kind) for name, kind in KINDS.items()}
    ours = Ours(spec, parts)
    _check(group, ours, theirs, make_batch(SAMPLES, 10 * rows, 0, zipf=zipf))
    seconds: dict[str, list[float]] = {name: [] for name in (OURS, OURS_AFTER_INPUT, *KINDS)}
    for number in range(WARMUP + repeats):
        batch = make_batch(SAMPLES, 10 * rows, 1 + number, zipf=zipf)
        before = ours.clock.seconds["input"]
        spent = _timed(ours, batch)
        seconds[OURS].append(spent)
        seconds[OURS_AFTER_INPUT].append(spent - (ours.clock.seconds["input"] - before))
        for name, contestant in theirs.items():
            seconds[name].append(_timed(contestant, *contestant.inputs(batch)))
    return {name: spent[WARMUP:] for name, spent in seconds.items()}


def _timed(step: Callable[..., float], *arguments: object) -> float:
    started = time.process_time()
    step(*arguments)
    return time.process_time() - started


def _check(group: Group, ours: Ours, theirs: Mapping[str, Theirs], batch: StepBatch) -> None:
    expected = [ours(batch) for _ in range(OVERFIT)]
    if not expected[-1] < expected[0] - 0.01:
        raise RuntimeError(f"the product does not train: losses {expected}")
    for name, contestant in theirs.items():
        own = torch.tensor([contestant(*contestant.inputs(batch)) for _ in range(OVERFIT)])
        group.all_reduce(own).wait()
        if not torch.allclose(own / group.size, torch.tensor(expected), rtol=1e-3, atol=1e-4):
            raise RuntimeError(f"{name}: expected losses {expected}, received {(own / group.size).tolist()}")


def table(title: str, seconds: Mapping[str, Sequence[float]]) -> Table:
    """Median CPU milliseconds of a step and rank, its quartiles, samples a core-second, and the ratio to ours."""
    shown = Table(title=title)
    for column in ("step", "CPU ms", "quartiles", "samples a core-s", "of G-Meta's"):
        shown.add_column(column, justify="left" if column == "step" else "right")
    ours = statistics.median(seconds[OURS])
    for name, spent in seconds.items():
        low, middle, high = (1e3 * q for q in statistics.quantiles(spent, n=4))
        per_second = SAMPLES / 2 / statistics.median(spent)
        shown.add_row(
            name, f"{middle:.1f}", f"{low:.1f}..{high:.1f}", f"{per_second:,.0f}", f"{middle / 1e3 / ours:.2f}"
        )
    return shown


def main(argv: list[str]) -> int:
    """Time dims 16 and 64, uniform and skewed keys."""
    parser = argparse.ArgumentParser(prog="python -m bench sharded_step", description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--rows", type=int, default=100_000, help="of a table")
    parser.add_argument("--dims", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--out", type=Path, help="also write the result as JSON")
    arguments = parser.parse_args(argv)
    ratios: dict[str, float] = {}
    figures: dict[str, dict[str, float]] = {}
    for dim, keys in product(arguments.dims, KEYS):
        case = f"dim {dim}, {keys} keys"
        ranks = run_ranks(2, work, dim, arguments.rows, KEYS[keys], arguments.repeats)
        seconds = {name: [s for rank in ranks for s in rank[name]] for name in ranks[0]}
        Console().print(table(f"2 ranks, batch {SAMPLES}, {case}", seconds))
        medians = {name: statistics.median(spent) for name, spent in seconds.items()}
        ratios |= {f"{case}: {name} / {OURS}": m / medians[OURS] for name, m in medians.items() if name != OURS}
        figures[case] = {f"{name}: CPU ms a step and rank": 1e3 * m for name, m in medians.items()}
    return publish(arguments.out, ratios, figures, goals_by_ending(ratios, GOALS))
