"""Peak memory of a meta-step as the number of tasks grows, at 4 support and 4 query samples a task.

Resident memory that one step adds to that of model, rows and samples, each number of tasks in a process of its own:
all tasks at once, in both orders, and vmap in first order, where each task holds a copy of the weights. Memory in
proportion to the samples is a constant in the column of KiB a sample; tasks times parameters are shown beside it.
"""

import argparse
import multiprocessing
import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from bench.meta_peers import vmapped
from bench.meta_problem import Case, make_algorithm, make_model, make_problem
from bench.result import write_result

SHOTS, TASKS = 4, (32, 64, 128, 256, 512, 1024)
WAYS = ("FOMAML", "MAML", "vmap, first order")
MIB = 2**20


@dataclass(frozen=True)
class Peak:
    """What a step has added to the resident memory, and what of."""

    added: int
    unique_rows: int
    samples: int
    parameters: int


def peak(way: str, tasks: int) -> Peak:
    """One step in this process, after one of two tasks."""
    torch.set_num_threads(1)
    step(way, 2)
    return step(way, tasks)


def step(way: str, tasks: int) -> Peak:
    """One step, and what it has added to the largest memory so far."""
    problem, model = make_problem(Case(tasks, SHOTS, 1), torch.float32), make_model(torch.float32)
    steps: Mapping[str, Callable[[], object]] = {
        "FOMAML": lambda: make_algorithm(problem.case, 1, model).gradients(model, problem.rows, problem.samples),
        "MAML": lambda: make_algorithm(problem.case, 2, model).gradients(model, problem.rows, problem.samples),
        "vmap, first order": lambda: vmapped(problem, dict(model.named_parameters()), second_order=False),
    }
    before = _peak_bytes()
    steps[way]()
    samples = len(problem.samples.support) + len(problem.samples.query)
    parameters = sum(each.numel() for each in model.parameters())
    return Peak(_peak_bytes() - before, len(problem.rows), samples, parameters)


def _peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def alone(way: str, tasks: int) -> Peak:
    """The same in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(peak, (way, tasks))


def table(found: Mapping[int, Mapping[str, Peak]]) -> Table:
    """MiB by number of tasks, KiB a sample, and tasks times parameters."""
    shown = Table(title=f"Peak memory of a step, MiB (KiB a sample); {SHOTS} support and {SHOTS} query samples a task")
    for column in ("tasks", "samples", "unique rows", *WAYS, "tasks x parameters"):
        shown.add_column(column, justify="right")
    for tasks, by_way in found.items():
        first = by_way[WAYS[0]]
        cells = [f"{each.added / MIB:.0f} ({each.added / each.samples / 1024:.1f})" for each in by_way.values()]
        weights = f"{4 * tasks * first.parameters / MIB:.0f}"
        shown.add_row(str(tasks), f"{first.samples:,}", f"{first.unique_rows:,}", *cells, weights)
    return shown


def main(argv: Sequence[str]) -> int:
    """Measure 32 to 1,024 tasks."""
    parser = argparse.ArgumentParser(prog="python -m bench memory", description=__doc__)
    parser.add_argument("--out", type=Path, help="also write the result as JSON")
    arguments = parser.parse_args(argv)
    found = {tasks: {way: alone(way, tasks) for way in WAYS} for tasks in TASKS}
    Console().print(table(found))
    columns = {
        "tasks": list(found),
        "samples": [by_way[WAYS[0]].samples for by_way in found.values()],
        "unique_rows": [by_way[WAYS[0]].unique_rows for by_way in found.values()],
        **{f"{way}, MiB": [by_way[way].added / MIB for by_way in found.values()] for way in WAYS},
    }
    last = found[TASKS[-1]]
    ratios = {f"T={TASKS[-1]}: vmap / {way}": last[WAYS[2]].added / last[way].added for way in WAYS[:2]}
    if arguments.out is not None:
        write_result(arguments.out, ratios, columns)
    return 0
