"""`gmeta plan`: what would run for a manifest, and what it costs."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from gmeta_api.load import load_manifest
from gmeta_api.memory import DatasetFacts, Estimate, estimate
from gmeta_api.plan import Plan, Process, Site, make_plan
from gmeta_api.spec import Spec
from gmeta_worker.local.site import LOOPBACK, volume_folders
from gmeta_worker.metaio import Dataset, Schema, StepBatch, StepReader, SupportPolicy
from gmeta_worker.metaio.card import CARD_NAME

COORDINATOR_PORT = 8470
METRICS_PORT = 8471


@click.command(epilog="Example:  gmeta plan examples/movielens-maml.yaml --volume data=./datasets")
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--volume", "volumes", multiple=True, metavar="NAME=FOLDER", help="Folder of a volume [./volumes/NAME].")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Override a field of the manifest.")
def plan(manifest: Path, volumes: tuple[str, ...], settings: tuple[str, ...]) -> None:
    """Print what `gmeta run MANIFEST` would start, and memory and bytes a step where the dataset is there.

    Nothing is started and nothing written. Ports are examples: `gmeta run` takes free ones.
    """
    job = load_manifest(manifest, settings)
    folders = volume_folders(job, volumes)
    names = {name: str(folder) for name, folder in folders.items()}
    apart = job.spec.workers.processes_per_worker
    site = Site(names, "job.json", LOOPBACK, COORDINATOR_PORT, METRICS_PORT, worker_host=LOOPBACK, ports_apart=apart)
    planned = make_plan(job, site)
    console = Console(highlight=False, soft_wrap=True)
    for line in plan_lines(planned):
        console.print(line, markup=False)
    dataset = folders[job.spec.data.volume] / job.spec.data.path
    if (dataset / CARD_NAME).exists():
        console.print(cost_table(job.spec, Dataset.open(dataset)))
    else:
        make = f"gmeta prepare {manifest} --volume {job.spec.data.volume}={folders[job.spec.data.volume]}"
        console.print(missing_line(job.spec, dataset, make), markup=False)


def process_lines(process: Process) -> Iterator[str]:
    """A process: role, command and environment."""
    yield f"{process.role} {process.index}: {' '.join(process.command)}"
    for name, value in sorted(process.env.items()):
        yield f"    {name}={value}"


def plan_lines(planned: Plan) -> Iterator[str]:
    """Every process, the world size, and what only a cluster honours."""
    for process in planned.processes:
        yield from process_lines(process)
    workers, processes = len(planned.workers), planned.document.spec.workers.processes_per_worker
    yield f"world size {planned.world_size}: {_count(workers, 'worker')} of {_count(processes, 'process', 'processes')}"
    if planned.ignored:
        yield f"outside of a cluster these are ignored: {', '.join(planned.ignored)}"


def missing_line(spec: Spec, dataset: Path, make: str) -> str:
    """What to do about a dataset that is not there; `make` is the command that makes it from `prepare`."""
    if spec.data.prepare is None:
        remedy = "copy it there, or add spec.data.prepare to the manifest"
    else:
        remedy = f"`{make}` makes it"
    return f"no dataset at {dataset}, so memory and bytes a step are not known yet; {remedy}"


def cost_table(spec: Spec, dataset: Dataset) -> Table:
    """Rows, memory, bytes a step and steps an epoch of a job on its dataset."""
    reader = step_reader(spec, dataset)
    with reader.epoch(0) as steps:
        facts = dataset_facts(spec, dataset, next(steps))
    table = Table("quantity", "value", title=f"Cost on {dataset.path}")
    for name, value in _size_rows(dataset, reader.steps()):
        table.add_row(name, value)
    for name, value in _cost_rows(estimate(spec, facts), facts):
        table.add_row(name, value)
    return table


def step_reader(spec: Spec, dataset: Dataset) -> StepReader:
    """The reader that training would use."""
    cut = spec.data.support
    return StepReader(
        dataset.split("train"),
        tasks_per_step=spec.training.tasks_per_step,
        support=SupportPolicy(cut.policy, size=cut.size, min=cut.min, max=cut.max),
        max_task_rows=spec.data.max_task_rows,
        seed=spec.training.seed,
        prefetch=1,
    )


def dataset_facts(spec: Spec, dataset: Dataset, step: StepBatch) -> DatasetFacts:
    """What the formulas need; the unique rows are counted in the first rank's part of a step."""
    ranks = spec.workers.replicas * spec.workers.processes_per_worker
    schema = dataset.schema
    return DatasetFacts(
        vocabulary_sizes={name: card.size for name, card in dataset.card.vocabularies.items()},
        features=len(schema.categorical) + len(schema.multi),
        numeric=len(schema.numeric),
        unique_rows=unique_keys(schema, step.slice(0, -(-step.tasks // ranks))),
    )


def unique_keys(schema: Schema, batch: StepBatch) -> int:
    """Distinct keys of a batch, counted by vocabulary."""
    keys: dict[str, list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]] = {}
    for column, feature in enumerate(schema.categorical):
        keys.setdefault(feature.vocabulary, []).append(batch.keys[:, column])
    for feature, ragged in zip(schema.multi, batch.multi, strict=True):
        keys.setdefault(feature.vocabulary, []).append(ragged.values)
    return sum(len(np.unique(np.concatenate(parts))) for parts in keys.values())


def _size_rows(dataset: Dataset, steps: int) -> Iterator[tuple[str, str]]:
    for name, split in dataset.card.splits.items():
        yield f"{name} split", f"{split.rows:,} rows, {split.tasks:,} tasks, {size(split.bytes)}"
    yield "steps an epoch", f"{steps:,}"


def _cost_rows(cost: Estimate, facts: DatasetFacts) -> Iterator[tuple[str, str]]:
    yield "embedding rows", f"{sum(cost.table_rows.values()):,} ({_listed(cost.table_rows)})"
    yield "embedding memory, all ranks", size(cost.embedding_bytes)
    if cost.dense_parameters is not None and cost.dense_bytes is not None:
        yield "dense parameters", f"{cost.dense_parameters:,}"
        yield "dense memory, each rank", size(cost.dense_bytes)
    yield "unique rows of a rank's step", f"{facts.unique_rows:,} (in the first step)"
    yield "lookup and update, a rank's step", size(cost.lookup_bytes)
    yield "of it AlltoAll", size(cost.all_to_all_bytes)
    if cost.all_reduce_bytes is not None:
        yield "AllReduce, a rank's step", size(cost.all_reduce_bytes)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _listed(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in rows.items())


def size(count: float) -> str:
    """Bytes for people: `1.5 MiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} bytes" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
