"""The price of meta-learning: training steps of FOMAML and MAML over Joint's, and Joint's over a plain torch loop.

DLRM with 26 tables and 13 numeric columns, dim 16, bottom 256, top 256-128, every layer adapts, one inner step. All
take turns on the same step batches: the same samples, input, exchange and optimisers, one thread a rank. That Joint's
gradients are those of the plain loop's model is checked first. CPU seconds of a step, mean of the ranks; the median of
the pairs' ratios with its 95 % interval. The plain loop knows no ranks.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from bench.dlrm_job import build, job, make_batch
from bench.goals import Goal, goals_by_ending
from bench.paired import PairedRatio, paired_ratio
from bench.plain_loop import PlainLoop, copied, gradients
from bench.ranks import run_ranks
from bench.result import publish
from gmeta_api.spec import Spec
from gmeta_worker.metaio import StepBatch
from gmeta_worker.parallel import Group, broadcast
from gmeta_worker.training.components import Components
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.part import OwnPart
from gmeta_worker.training.phase_plan import PhasePlan
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.step import TrainingStep

ALGORITHMS = ("Joint", "FOMAML", "MAML")
PLAIN = "plain torch"
GOALS = {
    ": FOMAML / Joint": Goal(1.0, 0.9, at_most=True),
    ": MAML / Joint": Goal(1.9, 1.6, at_most=True),
    f": Joint / {PLAIN}": Goal(1.1, at_most=True),
}
DIM, RATE, WARMUP = 16, 0.01, 3

Seconds = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Case:
    """Tasks of a rank, and their support samples; as many are query samples."""

    tasks: int
    shots: int

    @property
    def name(self) -> str:
        """As tables call it."""
        return f"T={self.tasks} S={self.shots}"

    def batch(self, ranks: int, rows: int, number: int) -> StepBatch:
        """The step batch of all ranks."""
        samples = 2 * ranks * self.tasks * self.shots
        return make_batch(samples, 10 * rows, number, support=self.shots, task_rows=2 * self.shots)


CASES = (Case(32, 16), Case(128, 4))


def work(
    group: Group, case: Case, rows: int, repeats: int, precision: str
) -> tuple[Seconds, Mapping[str, Mapping[str, float]]]:
    """One rank: CPU seconds of its steps by contestant, and CPU milliseconds a step by algorithm and phase."""
    clocks = {name: PhaseClock(time.process_time) for name in ALGORITHMS}
    steps: dict[str, Callable[[StepBatch], object]] = {
        name: _training_step(_job(name, rows, precision), group, clock, case.batch(group.size, rows, 0))
        for name, clock in clocks.items()
    }
    if group.size == 1:
        steps[PLAIN] = PlainLoop(DIM, rows, RATE)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    before: dict[str, Mapping[str, float]] = {}
    for number in range(WARMUP + repeats):
        if number == WARMUP:
            before = {name: dict(clock.seconds) for name, clock in clocks.items()}
        batch = case.batch(group.size, rows, number)
        for name in rotated(list(steps), number):
            broadcast(group, torch.zeros(1))  # the ranks begin together
            start = time.process_time()
            steps[name](batch)
            seconds[name].append(time.process_time() - start)
    phases = {
        name: {phase: 1e3 * (total - before[name][phase]) / repeats for phase, total in clock.seconds.items()}
        for name, clock in clocks.items()
    }
    return {name: each[WARMUP:] for name, each in seconds.items()}, phases


def rotated(names: Sequence[str], number: int) -> Sequence[str]:
    """Another contestant first in every round: the first one finds the caches cold."""
    first = number % len(names)
    return [*names[first:], *names[:first]]


def _job(algorithm: str, rows: int, precision: str) -> Spec:
    spec = job(algorithm, DIM, rows, RATE)
    return spec.model_copy(update={"training": spec.training.model_copy(update={"precision": precision})})


def _training_step(spec: Spec, group: Group, clock: PhaseClock, first: StepBatch) -> Callable[[StepBatch], object]:
    parts = build(spec, group)
    if spec.algorithms == ("Joint",) and group.size == 1:
        check_equal(parts, first)
    phases = PhasePlan(spec.algorithms, (0,), 1)
    dense = DenseOptimizer(spec.optimizer.dense, parts.model)
    step = TrainingStep(parts, dense, spec.optimizer, phases, OwnPart.even(group), lambda: False, clock)
    return lambda batch: step(batch, 0)


def check_equal(parts: Components, batch: StepBatch) -> None:
    """Joint and the plain loop's model give the same gradients.

    Raises:
        AssertionError: they differ.
    """
    inputs = parts.assembler(batch)
    rows = parts.store.lookup(inputs.ids)
    ours = parts.algorithm.gradients(parts.model, rows, inputs.samples)
    plain = PlainLoop(DIM, 1, RATE).model
    copied(plain, dict(parts.model.named_parameters()))
    both = inputs.samples.support.beside(inputs.samples.query)
    theirs = gradients(plain, rows, both.index, both.numeric, both.labels)
    torch.testing.assert_close([*ours.dense.values(), ours.rows], [*theirs], rtol=1e-3, atol=1e-4)


def prices(seconds: Seconds) -> dict[str, PairedRatio]:
    """Each price by name."""
    pairs = [(name, "Joint") for name in ALGORITHMS[1:]] + [("Joint", PLAIN)]
    return {f"{a} / {b}": paired_ratio(seconds[a], seconds[b]) for a, b in pairs if b in seconds}


def table(title: str, seconds: Seconds, found: Mapping[str, PairedRatio]) -> Table:
    """Median CPU milliseconds of a contestant's step, and the prices."""
    shown = Table(title=title)
    for column in ("what", "CPU ms", "ratio", "95 % interval"):
        shown.add_column(column, justify="left" if column == "what" else "right")
    for name, each in seconds.items():
        shown.add_row(name, f"{1e3 * statistics.median(each):.1f}", "", "")
    for name, ratio in found.items():
        shown.add_row(name, "", f"{ratio.median:.3f}", f"{ratio.low:.3f}..{ratio.high:.3f}")
    return shown


def measure(case: Case, ranks: int, options: argparse.Namespace, console: Console) -> tuple[dict[str, float], object]:
    """Print a case; its ratios and figures."""
    by_rank = run_ranks(ranks, work, case, options.rows, options.repeats, options.precision)
    seconds = {
        name: [statistics.fmean(each) for each in zip(*(found[name] for found, _ in by_rank), strict=True)]
        for name in by_rank[0][0]
    }
    title = f"{case.name} a rank, {ranks} rank{'s' if ranks > 1 else ''}"
    found = prices(seconds)
    console.print(table(title, seconds, found))
    phases = {
        name: {phase: statistics.fmean(each[1][name][phase] for each in by_rank) for phase in by_rank[0][1][name]}
        for name in ALGORITHMS
    }
    for name, by_phase in phases.items():
        console.print(f"{name}, CPU ms: " + ", ".join(f"{phase} {ms:.1f}" for phase, ms in by_phase.items()))
    figures = {
        "cpu_ms": {name: 1e3 * statistics.median(each) for name, each in seconds.items()},
        "intervals": {name: [ratio.low, ratio.high] for name, ratio in found.items()},
        "phases_cpu_ms": phases,
    }
    return {f"{title}: {name}": ratio.median for name, ratio in found.items()}, figures


def main(argv: Sequence[str]) -> int:
    """Both cases on 1 and on 2 ranks."""
    parser = argparse.ArgumentParser(prog="python -m bench price", description=__doc__)
    parser.add_argument("--repeats", type=int, default=41)
    parser.add_argument("--rows", type=int, default=100_000, help="of a table")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--precision", default="float32", choices=["float32", "bfloat16"], help="the plain loop's stays"
    )
    parser.add_argument("--out", type=Path, help="also write the result as JSON")
    arguments = parser.parse_args(argv)
    console = Console(highlight=False)
    ratios: dict[str, float] = {}
    figures: dict[str, object] = {}
    for ranks in arguments.ranks:
        for case in CASES:
            by_name, absolute = measure(case, ranks, arguments, console)
            ratios |= by_name
            figures[f"{case.name}, {ranks} rank(s)"] = absolute
    return publish(arguments.out, ratios, figures, goals_by_ending(ratios, GOALS))
