"""The cost model's forecast of a step beside the step itself: on 1 rank, and on 2 over links of several bandwidths.

FOMAML of the DLRM with 26 tables and 13 numeric columns, 1,024 samples a rank, one thread a rank, gloo. Before each
link the rates are fitted to two processes that train beside each other, each by itself (they share one processor, as
the ranks do), and the link's bandwidth and latency to AlltoAlls of bare bytes over it, so nothing of the forecast has
seen an exchange. Shaped links are made by `tc tbf` between two network namespaces, which needs root.
"""

import argparse
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from bench.dlrm_job import build, job, make_batch
from bench.goals import Goal
from bench.ranks import run_ranks
from bench.result import publish
from bench.shaped import Link, linked
from gmeta_api.memory import FLOAT_BYTES
from gmeta_api.spec import Spec
from gmeta_worker.forecast import Measured, Network, Rates, Work, fit_rates, forecast, measure_steps
from gmeta_worker.forecast.measure import work_of
from gmeta_worker.parallel import ALONE, Group, broadcast
from gmeta_worker.training.components import Components
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.part import OwnPart
from gmeta_worker.training.phase_plan import PhasePlan
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.step import TrainingStep

SAMPLES, SUPPORT, WARMUP, RANKS = 1024, 8, 3, 2
SMALL, LARGE, TRIES = 2, 1 << 20, 15
LINKS = (Link(200), Link(50))
WORST_ERROR = Goal(0.25, at_most=True)


Phases = Mapping[str, float]
"""Seconds by phase."""


@dataclass(frozen=True)
class Run:
    """Steps of some ranks.

    Attributes:
        work: what each had to do.
        network: what connects them.
        seconds: of a step by the wall, the median.
        phases: of them by phase, the median.
    """

    work: Work
    network: Network
    seconds: float
    phases: Phases


def step_of(spec: Spec, parts: Components, clock: PhaseClock) -> TrainingStep:
    """A rank's training step."""
    optimizer = DenseOptimizer(spec.optimizer.dense, parts.model)
    phases, part = PhasePlan(spec.algorithms, (0,), 1), OwnPart.even(parts.group)
    return TrainingStep(parts, optimizer, spec.optimizer, phases, part, lambda: False, clock)


def alone(_: Group, dim: int, rows: int) -> list[Measured]:
    """The work of a rank by itself, at several sizes, the same for all."""
    spec = job("FOMAML", dim, rows)
    parts = build(spec, ALONE)
    batches = [make_batch(SAMPLES, 10 * rows, number, support=SUPPORT) for number in range(4)]
    return measure_steps(parts, lambda clock: step_of(spec, parts, clock), batches, FLOAT_BYTES)


def together(group: Group, dim: int, rows: int, repeats: int) -> Run:
    """One of the ranks that train together."""
    network = measure_network(group)
    spec = job("FOMAML", dim, rows)
    parts, clock = build(spec, group), PhaseClock()
    step = step_of(spec, parts, clock)
    seconds, phases = [], []
    for number in range(WARMUP + repeats):
        batch = make_batch(group.size * SAMPLES, 10 * rows, number, support=SUPPORT)
        broadcast(group, torch.zeros(1))
        before, start = clock.seconds, time.perf_counter()
        step(batch, 0)
        seconds.append(time.perf_counter() - start)
        phases.append({name: total - before.get(name, 0.0) for name, total in clock.seconds.items()})
    work = work_of(parts, make_batch(SAMPLES, 10 * rows, 0, support=SUPPORT), FLOAT_BYTES)
    by_phase = {name: statistics.median(each[name] for each in phases[WARMUP:]) for name in phases[-1]}
    return Run(work, network, statistics.median(seconds[WARMUP:]), by_phase)


def measure_network(group: Group) -> Network:
    """Latency and bandwidth from AlltoAlls of next to nothing and of some megabytes."""
    latency = _all_to_all(group, SMALL)
    return Network(LARGE * FLOAT_BYTES / RANKS / (_all_to_all(group, LARGE) - latency), latency)


def _all_to_all(group: Group, numbers: int) -> float:
    payload, halves = torch.ones(numbers), [numbers // RANKS] * RANKS
    taken = []
    for _ in range(TRIES):
        broadcast(group, torch.zeros(1))
        start = time.perf_counter()
        group.all_to_all(payload, halves, halves).wait()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def compare(runs: Mapping[str, Run], forecasts: Mapping[str, Phases]) -> tuple[Table, dict[str, float]]:
    """Forecast and measured milliseconds of a step, and the relative error, by link."""
    shown = Table("link", title=f"A step of {RANKS} ranks")
    for column in ("MB/s of an AlltoAll", "latency, us", "forecast, ms", "measured, ms", "error"):
        shown.add_column(column, justify="right")
    errors = {}
    for name, run in runs.items():
        expected = sum(forecasts[name].values())
        errors[f"2 ranks, {name}"] = error = abs(expected / run.seconds - 1)
        cells = (run.network.bytes_per_second / 1e6, run.network.latency * 1e6, expected * 1e3, run.seconds * 1e3)
        shown.add_row(name, *(f"{cell:.1f}" for cell in cells), f"{error:.0%}")
    return shown, errors


def main(argv: list[str]) -> int:
    """Fit, forecast and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench cost_model", description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--rows", type=int, default=100_000, help="of a table")
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--out", type=Path, help="also write the result as JSON")
    arguments = parser.parse_args(argv)
    points, rates = _fitted(arguments)
    errors = {"1 rank": _error_alone(rates, points[-1])}
    runs = {"loopback": _run(arguments, None)}
    forecasts = {"loopback": forecast(runs["loopback"].work, rates, runs["loopback"].network, RANKS)}
    for link in LINKS:
        _, rates = _fitted(arguments)
        with linked(link) as networks:
            runs[link.name] = run = _run(arguments, networks)
        forecasts[link.name] = forecast(run.work, rates, run.network, RANKS)
    shown, apart = compare(runs, forecasts)
    errors |= apart
    Console().print(shown)
    for name, run in runs.items():
        for what, phases in (("forecast", forecasts[name]), ("measured", run.phases)):
            told = ", ".join(f"{phase} {1e3 * seconds:.1f}" for phase, seconds in phases.items())
            Console().print(f"{name}, {what}, ms: {told}", highlight=False)
    figures = {
        name: {"network": asdict(run.network), "phases": dict(run.phases), "forecast": forecasts[name]}
        for name, run in runs.items()
    }
    return publish(arguments.out, errors, figures, dict.fromkeys(errors, WORST_ERROR))


def _fitted(arguments: argparse.Namespace) -> tuple[list[Measured], Rates]:
    points = [each for rank in run_ranks(RANKS, alone, arguments.dim, arguments.rows) for each in rank]
    return points, fit_rates([each.work for each in points], [each.seconds for each in points])


def _run(arguments: argparse.Namespace, networks: tuple[str, str] | None) -> Run:
    ranks = run_ranks(RANKS, together, arguments.dim, arguments.rows, arguments.repeats, networks=networks)
    slowest: Run = max(ranks, key=lambda run: run.seconds)
    return slowest


def _error_alone(rates: Rates, measured: Measured) -> float:
    expected = forecast(measured.work, rates, Network(1.0, 0.0), 1)
    return abs(sum(expected.values()) / sum(measured.seconds.values()) - 1)
