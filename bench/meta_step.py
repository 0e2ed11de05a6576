"""CPU time of one meta-learning step: FOMAML and MAML beside Joint, and the packed path beside the task-by-task one.

DLRM with 26 categorical features and 13 numeric columns, dim 16, bottom 256, top 256-128, one thread, float32. All
contestants see the same samples and take turns. That both paths give the same gradients is checked first, in float64.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from bench.result import Timing, interleave, write_result
from gmeta_api.spec import AdaptSpec, MetaSpec, ModelSpec
from gmeta_worker.meta import (
    InnerLoop,
    InnerLoops,
    Maml,
    Samples,
    StepGradients,
    TaskSamples,
    build_algorithm,
    forward_type,
)
from gmeta_worker.meta.generic import GenericAdapter
from gmeta_worker.meta.step_size import StepSizes
from gmeta_worker.meta.targets import find_targets
from gmeta_worker.models import ModelInputs, build_model

TASKS, FEATURES, NUMERIC, DIM, RATE = 32, 26, 13, 16, 0.1
INPUTS = ModelInputs(tuple(f"n{i}" for i in range(NUMERIC)), tuple(f"f{i}" for i in range(FEATURES)), DIM, ("click",))
MODEL = ModelSpec(embedding_dim=DIM, bottom=(256,), top=(256, 128))

Step = Callable[[], StepGradients]


@dataclass(frozen=True)
class Problem:
    """Rows and samples of one step."""

    rows: torch.Tensor
    samples: TaskSamples


def make_problem(*, ragged: bool, dtype: torch.dtype) -> Problem:
    """32 tasks with 16 support and 16 query samples, or with 1..30 and 1..34 drawn evenly."""
    draw = torch.Generator().manual_seed(0)
    unique = 4000

    def sizes(high: int) -> torch.Tensor:
        return torch.randint(1, high + 1, (TASKS,), generator=draw) if ragged else torch.full((TASKS,), 16)

    def samples(lengths: torch.Tensor) -> Samples:
        count = int(lengths.sum())
        return Samples(
            task=torch.arange(TASKS).repeat_interleave(lengths),
            numeric=torch.rand(count, NUMERIC, generator=draw, dtype=dtype),
            index=torch.randint(unique, (count, FEATURES), generator=draw),
            multi=(),
            labels=(torch.rand(count, 1, generator=draw) < 0.3).to(dtype),
            label_weights=torch.ones(1, dtype=dtype),
            seeds=torch.arange(count),
        )

    rows = torch.randn(unique, DIM, generator=draw, dtype=dtype) * 0.1
    tables = torch.zeros(unique, dtype=torch.int64)
    return Problem(rows, TaskSamples(TASKS, samples(sizes(30)), samples(sizes(34)), tables))


def contestants(problem: Problem) -> dict[str, Step]:
    """Name -> a step that returns its gradients."""
    model = build_model(MODEL, INPUTS, seed=0).to(problem.rows.dtype)
    targets = find_targets(AdaptSpec(), model, ["rows"])

    def packed(algorithm: str, steps: int = 1) -> Step:
        meta = MetaSpec.model_validate({"algorithm": algorithm, "inner": {"steps": steps, "rate": RATE}})
        built = build_algorithm(meta, model, ["rows"])
        return lambda: built.gradients(model, problem.rows, problem.samples)

    def generic(*, second_order: bool) -> Step:
        sizes = StepSizes(targets.groups, learned=False, dtype=problem.rows.dtype)
        loop = InnerLoop(1, RATE, 0.0, sizes, second_order)
        built = Maml(InnerLoops(GenericAdapter(targets), loop, loop, "tasks"))
        return lambda: built.gradients(model, problem.rows, problem.samples)

    def in_bfloat16(step: Step) -> Step:
        def rounded() -> StepGradients:
            with forward_type(torch.bfloat16):
                return step()

        return rounded

    meta = {f"{name} K={k}": packed(name, k) for name in ("FOMAML", "MAML") for k in (1, 3)}
    one_by_one = {
        "FOMAML K=1, task by task": generic(second_order=False),
        "MAML K=1, task by task": generic(second_order=True),
    }
    bfloat16 = {
        f"{name}, bfloat16": in_bfloat16(step)
        for name, step in (("Joint", packed("Joint")), ("MAML K=1", packed("MAML")), ("MAML K=3", packed("MAML", 3)))
    }
    return {"Joint": packed("Joint"), **meta, **one_by_one, **bfloat16}


def check_equal(*, ragged: bool) -> None:
    """The packed path and the task-by-task path give the same gradients."""
    steps = contestants(make_problem(ragged=ragged, dtype=torch.float64))
    for name in ("FOMAML K=1", "MAML K=1"):
        ours, theirs = steps[name](), steps[f"{name}, task by task"]()
        torch.testing.assert_close(ours.rows, theirs.rows, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(ours.dense, theirs.dense, rtol=1e-9, atol=1e-12)


def table(title: str, timings: Mapping[str, Timing]) -> Table:
    """Median CPU milliseconds, spread, and the ratio to Joint."""
    shown = Table(title=title)
    for column in ("step", "CPU ms", "spread", "of Joint"):
        shown.add_column(column, justify="left" if column == "step" else "right")
    joint = timings["Joint"].median_cpu
    for name, timing in timings.items():
        cells = (f"{timing.median_cpu * 1e3:.1f}", f"{timing.spread:.0%}", f"{timing.median_cpu / joint:.2f}")
        shown.add_row(name, *cells)
    return shown


def main(argv: list[str]) -> int:
    """Time even and ragged tasks."""
    parser = argparse.ArgumentParser(prog="python -m bench meta_step", description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path, help="also write the result as JSON")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    ratios: dict[str, float] = {}
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for case, ragged in (("16 support, 16 query", False), ("1..30 support, 1..34 query", True)):
        check_equal(ragged=ragged)
        steps = contestants(make_problem(ragged=ragged, dtype=torch.float32))
        timings = interleave(steps, arguments.repeats)
        Console().print(table(f"{TASKS} tasks, {case}", timings))
        joint = timings["Joint"].median_cpu
        ratios |= {f"{case}: {name} / Joint": timing.median_cpu / joint for name, timing in timings.items()}
        figures[case] = {name: {"cpu_ms": timing.median_cpu * 1e3} for name, timing in timings.items()}
    if arguments.out is not None:
        write_result(arguments.out, ratios, figures)
    return 0
