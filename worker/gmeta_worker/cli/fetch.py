"""`gmeta fetch`: data for a first run."""

from pathlib import Path

import click
from rich.console import Console

from gmeta_api.errors import DataError
from gmeta_worker.datasets import movielens, scenarios, synthetic
from gmeta_worker.datasets.folder import recorded_origin

OUT = click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to.")


@click.group(epilog="Example:  gmeta fetch movielens-100k --out volumes/data/ml-100k-raw")
def fetch() -> None:
    """Get a small public data set, or generate one."""


@fetch.command("movielens-100k", epilog="Example:  gmeta fetch movielens-100k --out volumes/data/ml-100k-raw")
@OUT
def movielens_100k(out: Path) -> None:
    """Get MovieLens-100K from GroupLens, else out of RecBole's wheel on PyPI, by checksum either way.

    The files are ratings.csv, users.csv and movies.csv.

    Where neither can be reached, ratings are generated in its place, and a warning says so.
    """
    console = Console(highlight=False, soft_wrap=True)
    origin = recorded_origin(out)
    if origin is None:
        origin = _fetch_or_generate(out, console)
    else:
        console.print(f"{out}: files are there and whole, nothing to do")
    if origin.startswith("generated"):
        console.print(f"[bold red]WARNING: {out} is NOT MovieLens but {origin}; its numbers say nothing about it[/]")
    else:
        console.print(f"{out}: MovieLens-100K from {origin}\n{movielens.LICENSE_SUMMARY}", end="")


@fetch.command("generated", epilog="Example:  gmeta fetch generated --rows 1000000 --out volumes/data/generated")
@OUT
@click.option("--rows", type=click.IntRange(100), default=100_000, show_default=True, help="Number of ratings.")
@click.option("--tasks", type=click.IntRange(10), help="Number of users  [default: one for every 100 ratings]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--format", "form", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True)
def generated(out: Path, rows: int, tasks: int | None, seed: int, form: synthetic.Format) -> None:
    """Generate ratings, users and movies with known task structure: a bias and a taste for genres of each user."""
    synthetic.generate(out, rows=rows, tasks=tasks, seed=seed, form=form)
    Console(highlight=False, soft_wrap=True).print(f"{out}: {rows} generated ratings")


@fetch.command("scenarios", epilog="Example:  gmeta fetch scenarios --out volumes/data/scenarios-raw")
@OUT
@click.option("--rows", type=click.IntRange(100), default=50_000, show_default=True, help="Number of impressions.")
@click.option("--scenes", type=click.IntRange(2, 100), default=5, show_default=True, help="Number of scenes.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def scenario_impressions(out: Path, rows: int, scenes: int, seed: int) -> None:
    """Generate impressions of several scenes with the columns of AntM2C, as impressions.csv."""
    scenarios.generate(out, rows=rows, scenes=scenes, seed=seed)
    Console(highlight=False, soft_wrap=True).print(f"{out}: {rows} generated impressions of {scenes} scenes")


def _fetch_or_generate(out: Path, console: Console) -> str:
    try:
        return movielens.fetch(out, console.print)
    except DataError as error:
        console.print(str(error))
    synthetic.generate(out)
    origin = recorded_origin(out)
    assert origin is not None, "the files were written just now"
    return origin
