"""CPU time of one meta-learning step: all tasks at once beside a Python loop over tasks, vmap, TorchOpt and higher.

DLRM with 26 categorical features and 13 numeric columns, dim 16, bottom 256, top 256-128, float32, one thread. Every
contestant computes the same outer gradient (checked first, in float64) and all take turns. The loop is the faster of
two forms of plain functions and has the product's interaction operator; the module loop calls the product's model with
each task's weights, which is what one writes first. TorchOpt and higher are shown where they can be imported
(bench/requirements-meta.txt). The limit is what a contestant's own matrix products would take at this machine's sgemm
rate.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from bench.goals import Goal
from bench.meta_flops import counted, sgemm_rate
from bench.meta_loops import Loop
from bench.meta_peers import peers
from bench.meta_problem import Case, Problem, make_algorithm, make_model, make_problem
from bench.result import Timing, interleave, publish

CASES = (
    Case(tasks=32, shots=16, steps=1),
    Case(tasks=128, shots=4, steps=1),
    Case(tasks=32, shots=16, steps=3, rows=True),
    Case(tasks=32, shots=16, steps=1, ragged=True),
)
GOALS = {
    f"{case}, order {order}: loop / all tasks at once": Goal(reach, aim)
    for case, order, reach, aim in (
        ("T=32 S=16 K=1", 1, 3.9, 4.8),
        ("T=32 S=16 K=1", 2, 3.3, 4.4),
        ("T=128 S=4 K=1", 1, 11.5, 15.0),
        ("T=128 S=4 K=1", 2, 9.5, 13.0),
        ("T=32 S=16 K=3 with rows", 1, 3.3, 4.8),
        ("T=32 S=16 K=3 with rows", 2, 2.7, 4.2),
    )
}
OURS, LOOPS = "all tasks at once", ("loop, one backward", "loop, a backward a task")


class Gradients(Protocol):
    """What every contestant returns: sums over tasks."""

    @property
    def dense(self) -> Mapping[str, Tensor]:
        """Of the parameters, by name."""
        ...

    @property
    def rows(self) -> Tensor:
        """Of the rows."""
        ...


Step = Callable[[], Gradients]


def contestants(problem: Problem, order: int) -> dict[str, Step]:
    """Ours first, then the two loops, then the peers."""
    model = make_model(problem.rows.dtype)
    algorithm = make_algorithm(problem.case, order, model)
    loop = Loop(problem, dict(model.named_parameters()), second_order=order == 2)
    return {
        OURS: lambda: algorithm.gradients(model, problem.rows, problem.samples),
        **dict(zip(LOOPS, (loop.summed, loop.accumulated), strict=True)),
        **dict(peers(problem, model, order)),
    }


def check_equal(steps: Mapping[str, Step]) -> float:
    """The largest difference of any gradient to the loop's, relative to that gradient's largest number.

    Raises:
        AssertionError: it is above 1e-10.
    """
    expected = steps[LOOPS[0]]()
    worst = max(_difference(step(), expected) for step in steps.values())
    assert worst <= 1e-10, f"the contestants' gradients differ by {worst:.1e}"
    return worst


def _difference(got: Gradients, expected: Gradients) -> float:
    pairs = [(got.rows, expected.rows), *((got.dense[name], each) for name, each in expected.dense.items())]
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


def loop_of(timings: Mapping[str, Timing]) -> float:
    """Median CPU seconds of the faster loop."""
    return min(timings[name].median_cpu for name in LOOPS)


def table(title: str, timings: Mapping[str, Timing], limits: Mapping[str, float]) -> Table:
    """Median CPU milliseconds, spread, how many times as long the loop takes, and the limit."""
    shown = Table(title=title)
    for column in ("step", "CPU ms", "spread", "loop / it", "limit, ms"):
        shown.add_column(column, justify="left" if column == "step" else "right")
    for name, timing in timings.items():
        ratio = loop_of(timings) / timing.median_cpu
        limit = f"{limits[name] * 1e3:.1f}"
        shown.add_row(name, f"{timing.median_cpu * 1e3:.1f}", f"{timing.spread:.0%}", f"{ratio:.2f}", limit)
    return shown


def measure(case: Case, order: int, repeats: int, rate: float) -> tuple[Table, dict[str, float], dict[str, object]]:
    """The table, the ratios and the figures of a case."""
    error = check_equal(contestants(make_problem(case, torch.float64), order))
    steps = contestants(make_problem(case, torch.float32), order)
    timings = interleave(steps, repeats)
    limits = {name: counted(step) / rate for name, step in steps.items()}
    title = f"{case.name}, order {order} (largest relative difference of a gradient {error:.0e})"
    ratios = {
        f"{case.name}, order {order}: loop / {name}": loop_of(timings) / timing.median_cpu
        for name, timing in timings.items()
        if name not in LOOPS
    }
    figures: dict[str, object] = {
        name: {"cpu_ms": 1e3 * timing.median_cpu, "spread": timing.spread, "limit_ms": 1e3 * limits[name]}
        for name, timing in timings.items()
    }
    return table(title, timings, limits), ratios, figures


def main(argv: Sequence[str]) -> int:
    """Time every case in both orders."""
    parser = argparse.ArgumentParser(prog="python -m bench meta_step", description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path, help="also write the result as JSON")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    rate = sgemm_rate()
    console = Console()
    console.print(f"sgemm: {rate / 1e9:.0f} GFLOP a CPU second", highlight=False)
    ratios: dict[str, float] = {}
    figures: dict[str, object] = {"sgemm, GFLOP a second": rate / 1e9}
    for case in CASES:
        for order in (1, 2):
            shown, by_name, absolute = measure(case, order, arguments.repeats, rate)
            console.print(shown)
            ratios |= by_name
            figures[f"{case.name}, order {order}"] = absolute
    return publish(arguments.out, ratios, figures, GOALS)
