"""`gmeta plan --ranks`: how long a step would take on more ranks, by phase, from steps that are measured here."""

import re
from collections.abc import Callable, Iterator, Sequence

import click
from rich.console import Group
from rich.table import Table

from gmeta_api.memory import size, wire_bytes
from gmeta_api.spec import Spec
from gmeta_worker.forecast import Network, Rates, Work, fit_rates, forecast, measure_steps
from gmeta_worker.metaio import Dataset, StepBatch, StepReader
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.part import OwnPart
from gmeta_worker.training.phase_plan import plan_phases
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.run import build_parts, dataset_keys, open_reader
from gmeta_worker.training.step import StepResult, TrainingStep

BATCHES = 4
UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9}


class RankCounts(click.ParamType[tuple[int, ...]]):
    """Whole numbers from 1 with commas between them."""

    name = "N,N,..."

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """The numbers."""
        words = value.split(",")
        if not all(word.isdecimal() and int(word) > 0 for word in words):
            self.fail(f"expected numbers of ranks such as 8,64,512, received '{value}'", param, ctx)
        return tuple(map(int, words))


class Bandwidth(click.ParamType[float]):
    """Bytes a second, such as 25GB/s."""

    name = "BYTES/s"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Bytes a second."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)(KB|MB|GB)/s", value)
        if found is None or float(found[1]) == 0:
            self.fail(f"expected bytes a second in KB/s, MB/s or GB/s such as 25GB/s, received '{value}'", param, ctx)
        return float(found[1]) * UNITS[found[2]]


def ranks_table(spec: Spec, dataset: Dataset, ranks: Sequence[int], network: Network) -> Group:
    """A step on each number of ranks, every rank with as many tasks as one of the manifest's has."""
    work, rates = measure(spec, dataset)
    rate, latency = network.bytes_per_second / 1e9, network.latency * 1e6
    title = f"A step by its number of ranks ({rate:g} GB/s each, {latency:g} us a message)"
    table = Table("milliseconds", *(f"ranks: {count:,}" for count in ranks), title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in table_rows(work, rates, ranks, network):
        table.add_row(*row)
    return Group(table, note(work))


def table_rows(work: Work, rates: Rates, ranks: Sequence[int], network: Network) -> Iterator[tuple[str, ...]]:
    """Seconds by phase, their sum, and what it means for the samples of a second."""
    steps = [forecast(work, rates, network, count) for count in ranks]
    alone = sum(forecast(work, rates, network, 1).values())
    for phase in steps[0]:
        yield phase, *(f"{step[phase] * 1e3:.2f}" for step in steps)
    totals = [sum(step.values()) for step in steps]
    yield "step", *(f"{total * 1e3:.2f}" for total in totals)
    yield "samples a second", *(f"{count * work.samples / t:,.0f}" for count, t in zip(ranks, totals, strict=True))
    yield "of a rank alone", *(f"{alone / total:.0%}" for total in totals)


def note(work: Work) -> str:
    """What the forecast is of, in a sentence or two."""
    return (
        f"Each rank has {work.samples:,} samples and {work.unique_rows:,} unique rows a step, as in the manifest, so "
        f"spec.training.tasksPerStep grows with the ranks; {size(work.row_bytes)} of rows, again of their gradients, "
        f"and {size(work.dense_bytes)} of dense gradients. Computing is this machine's CPU time; "
        "stragglers and uneven owners come on top."
    )


def measure(spec: Spec, dataset: Dataset) -> tuple[Work, Rates]:
    """Train some steps in this process, on what a rank of the manifest would have; nothing is written.

    They run on the processor, whatever the manifest's device: their CPU time is what the forecast is made of.
    """
    spec = spec.model_copy(update={"training": spec.training.model_copy(update={"device": "cpu"})})
    parts = build_parts(spec, dataset, dataset_keys(dataset))
    reader = open_reader(spec, dataset)
    phases = plan_phases(spec, reader.steps())
    batches = _own_batches(spec, reader)

    def make_step(clock: PhaseClock) -> Callable[[StepBatch, int], StepResult]:
        dense = DenseOptimizer(spec.optimizer.dense, parts.model)
        return TrainingStep(parts, dense, spec.optimizer, phases, OwnPart.even(parts.group), lambda: False, clock)

    points = measure_steps(parts, make_step, batches, wire_bytes(spec))
    return points[-1].work, fit_rates([each.work for each in points], [each.seconds for each in points])


def _own_batches(spec: Spec, reader: StepReader) -> list[StepBatch]:
    ranks = spec.workers.replicas * spec.workers.processes_per_worker
    part = OwnPart(0, (1.0,) * ranks)
    with reader.epoch(0) as steps:
        return [part(batch) for batch, _ in zip(steps, range(BATCHES), strict=False)]
