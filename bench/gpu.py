"""Steps on a GPU: that they equal the CPU's, then what each takes, beside a loop over tasks and the memory's limit.

One command for a machine with a GPU; it needs neither fbgemm nor data. Milliseconds are between CUDA events, the median
of all repeats; contestants take turns. The whole step runs over NCCL in a group of one. With `--device cpu` everything
runs on the CPU over gloo, by its clock: that shows that the benchmark works, not how fast a GPU is.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from rich.console import Console
from rich.table import Table

from bench.dlrm_job import build, job, make_batch
from bench.meta_loops import Gradients as LoopGradients
from bench.meta_loops import Loop
from bench.meta_problem import Case, Problem, make_algorithm, make_model, make_problem
from bench.meta_step import LOOPS, Gradients, check_equal
from bench.result import write_result
from gmeta_api.spec import MetaSpec
from gmeta_worker.embedding import RowStore, RowWiseAdagrad
from gmeta_worker.meta import Samples, build_algorithm
from gmeta_worker.parallel import ALONE, DistributedGroup, Group
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.part import OwnPart
from gmeta_worker.training.phase_plan import PhasePlan
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.step import TrainingStep

CASES = (Case(tasks=32, shots=16, steps=1), Case(tasks=128, shots=4, steps=1), Case(tasks=1024, shots=4, steps=1))
CHECKED = Case(tasks=8, shots=4, steps=2, rows=True, ragged=True)
WARMUP, STEPS_CHECKED, BATCHES = 3, 5, 8
FLOAT_BYTES = 4

Run = Callable[[], object]
MetaRun = Callable[[], Gradients]


def on_device(problem: Problem, device: torch.device) -> Problem:
    """The problem with its tensors on a device."""
    samples = problem.samples
    moved = replace(
        samples,
        support=_samples_on(samples.support, device),
        query=_samples_on(samples.query, device),
        tables=samples.tables.to(device),
    )
    return replace(problem, rows=problem.rows.to(device), samples=moved)


def _samples_on(samples: Samples, device: torch.device) -> Samples:
    fields = ("task", "numeric", "index", "labels", "label_weights", "seeds")
    return replace(samples, **{name: getattr(samples, name).to(device) for name in fields})


def meta_steps(case: Case, device: torch.device, dtype: torch.dtype) -> dict[str, MetaRun]:
    """Joint, both orders, and the loop over tasks in both, on the same samples."""
    problem, model = on_device(make_problem(case, dtype), device), make_model(dtype).to(device)
    joint = build_algorithm(MetaSpec(algorithm="Joint"), model, ["rows"])
    steps: dict[str, MetaRun] = {"Joint": lambda: joint.gradients(model, problem.rows, problem.samples)}
    for order in (1, 2):
        ours = make_algorithm(case, order, model)
        loop = Loop(problem, dict(model.named_parameters()), second_order=order == 2)
        steps[f"order {order}"] = lambda ours=ours: ours.gradients(model, problem.rows, problem.samples)  # type: ignore[misc]
        steps[f"order {order}, loop over tasks"] = loop.summed
    return steps


def check_meta_steps(device: torch.device) -> float:
    """The largest relative difference, in float64, of any gradient on the device to the CPU's loop over tasks.

    Raises:
        AssertionError: it is above 1e-10.
    """
    worst = 0.0
    for order in (1, 2):
        expected = meta_steps(CHECKED, torch.device("cpu"), torch.float64)[f"order {order}, loop over tasks"]
        found = _on_cpu(meta_steps(CHECKED, device, torch.float64)[f"order {order}"]())
        worst = max(worst, check_equal({LOOPS[0]: expected, "on the device": lambda found=found: found}))  # type: ignore[misc]
    return worst


def _on_cpu(found: Gradients) -> Gradients:
    dense = {name: each.cpu() for name, each in found.dense.items()}
    return LoopGradients(found.rows.new_zeros(()), dense, found.rows.cpu())


def training_step(group: Group, device: torch.device, rows: int) -> Callable[[int], float]:
    """The whole step of FOMAML on one of a few batches, 2,048 samples of 16 a task; it returns the loss."""
    spec = job("FOMAML", 64, rows)
    parts = build(spec, group, device)
    dense = DenseOptimizer(spec.optimizer.dense, parts.model)
    phases, part = PhasePlan(spec.algorithms, (0,), 1), OwnPart.even(group)
    step = TrainingStep(parts, dense, spec.optimizer, phases, part, lambda: False, PhaseClock())
    batches = [make_batch(2048, 10 * rows, number, support=8) for number in range(BATCHES)]
    return lambda number: step(batches[number % BATCHES], 0).loss


def check_training(group: Group, device: torch.device) -> float:
    """The largest difference of a loss over some steps, between the device and the CPU.

    Raises:
        AssertionError: it is above 1e-3.
    """
    there, here = training_step(group, device, 1000), training_step(ALONE, torch.device("cpu"), 1000)
    worst = max(abs(there(number) - here(number)) for number in range(STEPS_CHECKED))
    assert worst < 1e-3, f"losses differ by {worst:.1e}"
    return worst


def row_operators(device: torch.device, rows: int, dim: int = 64) -> dict[str, tuple[Run, int]]:
    """Lookup and update of a large table's rows, and a plain copy: each with the bytes that it has to move."""
    store = RowStore({"rows": rows}, dim, RowWiseAdagrad(), seed=0, device=device)
    count = rows // 16
    ids = torch.randperm(rows, device=device)[:count].sort().values
    grads, block = torch.randn(count, dim, device=device), torch.randn(rows // 4, dim, device=device)
    row = FLOAT_BYTES * dim
    return {
        "copy": (lambda: block.clone(), 2 * row * len(block)),
        "lookup": (lambda: store.lookup(ids), 2 * row * count),
        "update, row-wise Adagrad": (lambda: store.update(ids, grads, 0.01), 3 * row * count),
    }


def time_in_turn(runs: Mapping[str, Run], repeats: int, device: torch.device) -> dict[str, float]:
    """Median milliseconds of each."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(WARMUP + repeats):
        for name, run in runs.items():
            milliseconds = _timed(run, device)
            if number >= WARMUP:
                taken[name].append(milliseconds)
    return {name: statistics.median(each) for name, each in taken.items()}


def _timed(run: Run, device: torch.device) -> float:
    if device.type == "cpu":
        start = time.process_time()
        run()
        return 1e3 * (time.process_time() - start)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    begin.record()
    run()
    end.record()
    torch.cuda.synchronize(device)
    return float(begin.elapsed_time(end))


@contextmanager
def group_of_one(device: torch.device) -> Iterator[Group]:
    """A group over NCCL, on the CPU over gloo."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    with tempfile.TemporaryDirectory() as folder:
        store = dist.FileStore(f"{folder}/store", 1)  # type: ignore[attr-defined]
        dist.init_process_group("gloo" if device.type == "cpu" else "nccl", store=store, rank=0, world_size=1)
        assert dist.group.WORLD is not None, "init_process_group makes it"
        try:
            yield DistributedGroup(dist.group.WORLD)
        finally:
            dist.destroy_process_group()


def measure(device: torch.device, rows: int, repeats: int) -> dict[str, dict[str, float]]:
    """All milliseconds, by table."""
    figures = {case.name: time_in_turn(meta_steps(case, device, torch.float32), repeats, device) for case in CASES}
    operators = row_operators(device, rows)
    taken = time_in_turn({name: run for name, (run, _) in operators.items()}, repeats, device)
    figures["rows"] = taken | {f"{name}, GB/s": operators[name][1] / 1e6 / ms for name, ms in taken.items()}
    with group_of_one(device) as group:
        step, numbers = training_step(group, device, rows // 26), iter(range(10**6))
        figures["whole step"] = time_in_turn({"FOMAML, dim 64": lambda: step(next(numbers))}, repeats, device)
    return figures


def ratios_of(figures: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Prices of meta-learning, gains over the loop, and shares of the memory's rate."""
    found = {}
    for case in CASES:
        ms = figures[case.name]
        for order in ("order 1", "order 2"):
            found[f"{case.name}: {order} / Joint"] = ms[order] / ms["Joint"]
            found[f"{case.name}: loop / {order}"] = ms[f"{order}, loop over tasks"] / ms[order]
    rows = figures["rows"]
    for name in ("lookup", "update, row-wise Adagrad"):
        found[f"{name}: share of a copy's GB/s"] = rows[f"{name}, GB/s"] / rows["copy, GB/s"]
    return found


def main(argv: list[str]) -> int:
    """Check, then measure; the tables come last."""
    parser = argparse.ArgumentParser(prog="python -m bench gpu", description=__doc__)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--rows", type=int, default=16_000_000, help="of the large table")
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--out", type=Path, help="also write the result as JSON")
    arguments = parser.parse_args(argv)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("bench gpu: this process sees no GPU; `--device cpu` shows that the benchmark works")
        return 2
    device, console = torch.device(arguments.device, 0), Console(highlight=False)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
    console.print(f"{name}, torch {torch.__version__}")
    console.print(f"gradients differ from the CPU's loop over tasks by {check_meta_steps(device):.0e} of the largest")
    with group_of_one(device) as group:
        console.print(
            f"losses of {STEPS_CHECKED} whole steps differ from the CPU's by {check_training(group, device):.0e}"
        )
    figures = measure(device, arguments.rows, arguments.repeats)
    for title, values in figures.items():
        table = Table("what", "ms, or as it says", title=title)
        for what, value in values.items():
            table.add_row(what, f"{value:.3g}")
        console.print(table)
    ratios = ratios_of(figures)
    for what, ratio in ratios.items():
        console.print(f"{what}: {ratio:.2f}")
    if arguments.out is not None:
        write_result(arguments.out, ratios, {"device": name, **figures})
    return 0
