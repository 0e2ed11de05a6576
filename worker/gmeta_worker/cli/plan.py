"""`gmeta plan`: what would run for a manifest, and what it costs."""

from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console

from gmeta_api.load import load_manifest
from gmeta_api.plan import Plan, Process, Site, make_plan
from gmeta_api.spec import Spec
from gmeta_worker.cli.cost import cost_table
from gmeta_worker.cli.ranks import Bandwidth, RankCounts, ranks_table
from gmeta_worker.forecast import Network
from gmeta_worker.local.site import LOOPBACK, volume_folders
from gmeta_worker.metaio import Dataset
from gmeta_worker.metaio.card import CARD_NAME

COORDINATOR_PORT = 8470
METRICS_PORT = 8471


@click.command(epilog="Example:  gmeta plan examples/movielens-maml.yaml --volume data=./datasets")
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--volume", "volumes", multiple=True, metavar="NAME=FOLDER", help="Folder of a volume [./volumes/NAME].")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Override a field of the manifest.")
@click.option("--ranks", type=RankCounts(), help="Tell what a step would take on so many ranks, such as 8,64,512.")
@click.option("--network", type=Bandwidth(), default="25GB/s", show_default=True, help="Of each rank, with --ranks.")
@click.option("--latency", default=20.0, show_default=True, help="Microseconds of a message, with --ranks.")
def plan(
    manifest: Path,
    volumes: tuple[str, ...],
    settings: tuple[str, ...],
    ranks: tuple[int, ...] | None,
    network: float,
    latency: float,
) -> None:
    """Print what `gmeta run MANIFEST` would start, and memory and bytes a step where the dataset is there.

    Nothing is started and nothing written; with --ranks some steps are trained in this process, and forgotten. Ports
    are examples: `gmeta run` takes free ones.
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
        found = Dataset.open(dataset)
        console.print(cost_table(job.spec, found))
        if ranks:
            console.print(ranks_table(job.spec, found, ranks, Network(network, latency * 1e-6)))
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


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
