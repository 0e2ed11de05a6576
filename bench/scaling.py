"""Weak scaling of the training step from 1 to 2 ranks on this machine: each rank always has the same number of samples.

Meta-learning (FOMAML, one inner step, all layers and rows adapt) of the DLRM with 26 tables and 13 numeric columns; two
processes of one thread, gloo. One of them also trains alone, and the two ways take turns, step by step, while the other
process waits. CPU seconds a sample tell what ranks add to the work; wall seconds also what they wait for, and on a
machine with other work also what that takes.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from bench.dlrm_job import build, job, make_batch
from bench.goals import Goal, goals_by_ending
from bench.ranks import run_ranks
from bench.result import publish
from gmeta_api.spec import Spec
from gmeta_worker.metaio import StepBatch
from gmeta_worker.parallel import ALONE, Group, broadcast
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.part import OwnPart
from gmeta_worker.training.phase_plan import PhasePlan
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.step import StepResult, TrainingStep

SAMPLES, SUPPORT, WARMUP = 1024, 8, 3
RANKS = 2
GOALS = {"samples a CPU second and rank": Goal(0.8, 0.9)}

Seconds = dict[str, list[float]]


def step_of(spec: Spec, group: Group, clock: PhaseClock) -> TrainingStep:
    """A rank's training step."""
    parts = build(spec, group)
    optimizer = DenseOptimizer(spec.optimizer.dense, parts.model)
    return TrainingStep(
        parts, optimizer, spec.optimizer, PhasePlan(spec.algorithms, (0,), 1), OwnPart.even(group), lambda: False, clock
    )


def work(group: Group, dim: int, rows: int, repeats: int) -> tuple[dict[str, Seconds], dict[str, float]]:
    """One rank: wall and CPU seconds of its steps by number of ranks, and its CPU seconds by phase of two ranks."""
    spec = job("FOMAML", dim, rows)
    clock = PhaseClock(time.process_time)
    together = step_of(spec, group, clock)
    alone = step_of(spec, ALONE, PhaseClock()) if group.rank == 0 else None
    seconds: dict[str, Seconds] = {"1": {"cpu": [], "wall": []}, "2": {"cpu": [], "wall": []}}
    phases: dict[str, float] = {}
    for number in range(WARMUP + repeats):
        if number == WARMUP:
            phases = clock.seconds
        if alone is not None:
            _timed(seconds["1"], alone, make_batch(SAMPLES, 10 * rows, number, support=SUPPORT))
        batch = make_batch(RANKS * SAMPLES, 10 * rows, number, support=SUPPORT)
        broadcast(group, torch.zeros(1))  # the other rank has waited
        _timed(seconds["2"], together, batch)
    kept = {ranks: {kind: s[WARMUP:] for kind, s in by.items()} for ranks, by in seconds.items()}
    return kept, {phase: (total - phases[phase]) / repeats for phase, total in clock.seconds.items()}


def _timed(seconds: Seconds, step: Callable[[StepBatch, int], StepResult], batch: StepBatch) -> None:
    cpu, wall = time.process_time(), time.perf_counter()
    step(batch, 0)
    seconds["cpu"].append(time.process_time() - cpu)
    seconds["wall"].append(time.perf_counter() - wall)


def efficiencies(one: Seconds, two: Sequence[Seconds]) -> dict[str, float]:
    """Samples a second and rank of two ranks over those of one: by CPU time, and by wall time."""
    cpu = statistics.median(statistics.fmean(pair) for pair in zip(*(each["cpu"] for each in two), strict=True))
    wall = statistics.median(max(pair) for pair in zip(*(each["wall"] for each in two), strict=True))
    return {"CPU": statistics.median(one["cpu"]) / cpu, "wall": statistics.median(one["wall"]) / wall}


def table(title: str, one: Seconds, two: Sequence[Seconds]) -> Table:
    """Median milliseconds of a step and their quartiles."""
    shown = Table(title=title)
    for column in ("ranks", "samples a step", "CPU ms a rank", "quartiles", "wall ms", "quartiles"):
        shown.add_column(column, justify="right")
    for ranks, runs in ((1, [one]), (RANKS, two)):
        cells = [text for kind in ("cpu", "wall") for text in _quartiles([s for run in runs for s in run[kind]])]
        shown.add_row(str(ranks), str(ranks * SAMPLES), *cells)
    return shown


def _quartiles(seconds: Sequence[float]) -> tuple[str, str]:
    low, middle, high = (1e3 * q for q in statistics.quantiles(seconds, n=4))
    return f"{middle:.1f}", f"{low:.1f}..{high:.1f}"


def phase_line(phases: Sequence[Mapping[str, float]]) -> str:
    """CPU milliseconds by phase, mean of the ranks."""
    return ", ".join(f"{name} {1e3 * statistics.fmean(p[name] for p in phases):.1f}" for name in phases[0])


def main(argv: list[str]) -> int:
    """Time 1 and 2 ranks in turn."""
    parser = argparse.ArgumentParser(prog="python -m bench scaling", description=__doc__)
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--rows", type=int, default=100_000, help="of a table")
    parser.add_argument("--dims", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--out", type=Path, help="also write the result as JSON")
    arguments = parser.parse_args(argv)
    ratios: dict[str, float] = {}
    figures: dict[str, dict[str, float]] = {}
    for dim in arguments.dims:
        found = run_ranks(RANKS, work, dim, arguments.rows, arguments.repeats)
        one, two, phases = found[0][0]["1"], [each[0]["2"] for each in found], [each[1] for each in found]
        Console().print(table(f"FOMAML, {SAMPLES} samples a rank, dim {dim}", one, two))
        Console().print(f"CPU ms by phase, 2 ranks: {phase_line(phases)}", highlight=False)
        by_kind = efficiencies(one, two)
        Console().print(", ".join(f"{kind} efficiency {value:.2f}" for kind, value in by_kind.items()), highlight=False)
        ratios |= {f"dim {dim}: 2 ranks / 1 rank, samples a {kind} second and rank": v for kind, v in by_kind.items()}
        figures[f"dim {dim}"] = {
            "1 rank: CPU ms": 1e3 * statistics.median(one["cpu"]),
            "1 rank: wall ms": 1e3 * statistics.median(one["wall"]),
            "2 ranks: CPU ms a rank": 1e3 * statistics.median([s for each in two for s in each["cpu"]]),
            "2 ranks: wall ms": 1e3 * statistics.median([s for each in two for s in each["wall"]]),
            **{f"2 ranks: {name}, CPU ms": 1e3 * statistics.fmean(p[name] for p in phases) for name in phases[0]},
        }
    return publish(arguments.out, ratios, figures, goals_by_ending(ratios, GOALS))
