"""`gmeta export`: what a run delivers, for production."""

from pathlib import Path

import click

from gmeta_worker.metaio import Dataset
from gmeta_worker.serving import write_export


@click.command(epilog="Example:  gmeta export runs/quickstart --dataset volumes/data/ml-100k --out exports/quickstart")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--dataset", type=click.Path(path_type=Path), required=True, help="Folder of the Meta-IO dataset.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the export.")
@click.option("--overwrite", is_flag=True, help="Replace an older export at the same place.")
def export(run: Path, dataset: Path, out: Path, overwrite: bool) -> None:
    """Write a trained model as files that a server can read without G-Meta's code.

    RUN is a run folder (then its best commit by the watched metric, else its newest one) or a commit's own folder.
    DATASET is the one that it was trained on: it knows how raw columns become the model's inputs.
    """
    manifest = write_export(run, Dataset.open(dataset), out, overwrite=overwrite)
    size = sum(file.bytes for file in manifest.files)
    click.echo(f"{out}: attempt {manifest.attempt}, step {manifest.step}; {len(manifest.files)} files, {size:,} bytes")
