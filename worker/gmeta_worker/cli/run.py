"""`gmeta run`: a manifest on this machine."""

import sys
from pathlib import Path

import click
from rich.console import Console

from gmeta_api.load import load_manifest
from gmeta_worker.local.launch import Start, launch


@click.command(
    epilog="Example:  gmeta run examples/movielens-maml.yaml --volume data=./datasets --set spec.meta.inner.steps=2"
)
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--volume", "volumes", multiple=True, metavar="NAME=FOLDER", help="Folder of a volume [./volumes/NAME].")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Override a field of the manifest.")
@click.option("--workers", type=click.IntRange(min=1), help="Workers to start, in place of spec.workers.replicas.")
@click.option("--resume", "start", flag_value=Start.RESUME, type=Start, help="Go on from the newest commit.")
@click.option("--fresh", "start", flag_value=Start.FRESH, type=Start, help="Delete this job's earlier run first.")
def run(
    manifest: Path, volumes: tuple[str, ...], settings: tuple[str, ...], workers: int | None, start: Start | None
) -> None:
    """Train MANIFEST here: the same manifest, processes and environment as on a cluster.

    The run folder (spec.checkpoint on its volume) gets the commits, the logs and, at the end, report.html.
    """
    replicas = () if workers is None else (f"spec.workers.replicas={workers}",)
    job = load_manifest(manifest, (*settings, *replicas))
    sys.exit(launch(job, volumes, start, Console()))
