"""`gmeta validate`: every problem of a manifest, or OK."""

from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console

from gmeta_api.load import load_manifest
from gmeta_api.plan import cluster_only_fields
from gmeta_api.spec import MetaTrainingJob


@click.command(epilog="Example:  gmeta validate examples/movielens-maml.yaml --set spec.meta.inner.steps=2")
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Override a field of the manifest.")
def validate(manifest: Path, settings: tuple[str, ...]) -> None:
    """Check MANIFEST: unknown fields, types, bounds and the rules over several fields.

    Prints every problem with its field path and ends with status 64, or prints OK.
    """
    job = load_manifest(manifest, settings)
    console = Console(highlight=False, soft_wrap=True)
    for line in summary(job):
        console.print(line, markup=False)


def summary(job: MetaTrainingJob) -> Iterator[str]:
    """One line on a valid job, and one on what only a cluster honours."""
    spec = job.spec
    ranks = spec.workers.replicas * spec.workers.processes_per_worker
    name = f"{job.metadata.namespace}/{job.metadata.name}"
    algorithms = ", then ".join(spec.algorithms)
    yield (
        f"OK  {name}: {spec.model.type} with {algorithms}, {length(job)}, "
        f"{spec.training.tasks_per_step} tasks a step, {ranks} rank{'' if ranks == 1 else 's'}"
    )
    ignored = tuple(cluster_only_fields(job))
    if ignored:
        yield f"    outside of a cluster these are ignored: {', '.join(ignored)}"


def length(job: MetaTrainingJob) -> str:
    """How long the job trains, in words."""
    training = job.spec.training
    if not training.trains:
        return "an export only"
    if training.phases is not None:
        return f"{len(training.phases)} phase{'' if len(training.phases) == 1 else 's'}"
    return f"{training.steps} steps" if training.epochs is None else f"{training.epochs} epochs"
