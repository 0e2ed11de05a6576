"""Where a step's CPU time goes: its operators one by one, and what is spent around them.

Every operator of a step is noted with its arguments and then repeated alone, with everything in the caches: the least
of 25 repeats, added up. That is what the step would take if nothing came between its operators and no memory were cold.
`calls` is the whole step of two tasks with one sample each: next to nothing but Python, autograd and dispatch.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.utils._python_dispatch import TorchDispatchMode

from bench.meta_problem import RATE, Case, make_model, make_problem
from bench.result import publish
from gmeta_api.spec import MetaSpec
from gmeta_worker.meta import build_algorithm

ALGORITHMS = ("Joint", "FOMAML", "MAML")
CASES = (Case(tasks=32, shots=16, steps=1), Case(tasks=128, shots=4, steps=1))
SMALLEST = Case(tasks=2, shots=1, steps=1)
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm")
COLUMNS = ("step", "operators", "operators, alone", "of these matrix products", "calls")
REPEATS = 25
Call = tuple[Callable[..., object], Sequence[Any], Mapping[str, Any]]


class Noting(TorchDispatchMode):
    """Keeps every operator call, those of the backward pass too."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        self.calls.append((func, args, kwargs or {}))
        return func(*args, **(kwargs or {}))


def step_of(algorithm: str, case: Case) -> Callable[[], object]:
    """The gradients of a step."""
    problem, model = make_problem(case, torch.float32), make_model(torch.float32)
    meta = MetaSpec(algorithm=algorithm, inner={"steps": case.steps, "rate": RATE}, adapt=case.adapt)
    built = build_algorithm(meta, model, ["rows"])
    return lambda: built.gradients(model, problem.rows, problem.samples)


def seconds(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """Least CPU seconds of a call."""
    taken = []
    for _ in range(repeats + 2):
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return min(taken[2:])


def profile(algorithm: str, case: Case) -> dict[str, float]:
    """Milliseconds by COLUMNS, and the number of operators."""
    step = step_of(algorithm, case)
    whole = seconds(step)
    with Noting() as noting:
        step()
    with torch.no_grad():
        alone = [(func, _alone(func, args, kwargs)) for func, args, kwargs in noting.calls]
    products = sum(taken for func, taken in alone if str(func).split(".")[1] in PRODUCTS)
    figures = (
        1e3 * whole,
        len(alone),
        1e3 * sum(taken for _, taken in alone),
        1e3 * products,
        1e3 * seconds(step_of(algorithm, SMALLEST)),
    )
    return dict(zip(COLUMNS, figures, strict=True))


def _alone(func: Callable[..., object], args: Sequence[Any], kwargs: Mapping[str, Any]) -> float:
    """By the clock: a call is shorter than what CPU time is told in. The least is what nothing has interrupted."""
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        func(*args, **kwargs)
        taken.append(time.perf_counter() - start)
    return min(taken)


def main(argv: Sequence[str]) -> int:
    """A table of each case."""
    parser = argparse.ArgumentParser(prog="python -m bench step_profile", description=__doc__)
    parser.add_argument("--out", type=Path, help="also write the result as JSON")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    ratios: dict[str, float] = {}
    found: dict[str, dict[str, dict[str, float]]] = {}
    for case in CASES:
        shown = Table(title=f"{case.name}, CPU ms, least of {REPEATS}")
        for column in ("algorithm", *COLUMNS):
            shown.add_column(column, justify="left" if column == "algorithm" else "right")
        found[case.name] = {name: profile(name, case) for name in ALGORITHMS}
        for name, figures in found[case.name].items():
            shown.add_row(name, *(f"{figures[each]:.{0 if each == 'operators' else 1}f}" for each in COLUMNS))
            ratios[f"{case.name}: {name}: operators, alone / step"] = figures["operators, alone"] / figures["step"]
        Console().print(shown)
    return publish(arguments.out, ratios, found, {})
