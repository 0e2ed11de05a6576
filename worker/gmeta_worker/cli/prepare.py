"""`gmeta prepare`: ratings or impressions become a Meta-IO dataset."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from gmeta_api.errors import ManifestError, Problem
from gmeta_api.load import load_manifest
from gmeta_worker.local.site import volume_folders
from gmeta_worker.metaio.card import Card
from gmeta_worker.metaio.prepare import run
from gmeta_worker.metaio.prepare.flags import Flags, spec_from_flags

EPILOG = """\b
Examples:
  gmeta prepare examples/movielens-maml.yaml --volume data=./datasets
  gmeta prepare --source raw/ratings.csv --join raw/movies.csv:movie_id --task user_id \\
      --label 'rating >= 4' --categorical movie=movie_id --multi 'genres:|' --numeric year:standardize \\
      --order time:timestamp --split task:0.8,0.1,0.1 --out datasets/ratings
"""


@click.command(epilog=EPILOG)
@click.argument("manifest", type=click.Path(path_type=Path), required=False)
@click.option("--volume", "volumes", multiple=True, metavar="NAME=FOLDER", help="Folder of a volume [./volumes/NAME].")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Override a field of the manifest.")
@click.option("--overwrite", is_flag=True, help="Replace a different dataset at the same place.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the dataset; with --source.")
@click.option("--source", metavar="FILES", help="CSV, TSV or Parquet; a glob in quotes for several files.")
@click.option("--format", "form", type=click.Choice(["auto", "csv", "parquet"]), default="auto", show_default=True)
@click.option("--delimiter", help="Between the columns of a csv source  [default: a comma; a tab for tsv]")
@click.option("--join", "joins", multiple=True, metavar="FILE:COLUMN,…", help="Side table and the columns of its key.")
@click.option("--task", multiple=True, metavar="COLUMN", help="Column that names the task; several together name one.")
@click.option("--label", "labels", multiple=True, metavar="RULE", help="SQL: true or 1, false or 0, null: unknown.")
@click.option("--categorical", multiple=True, metavar="[NAME=]COLUMN", help="Feature with one value; or SQL.")
@click.option(
    "--multi", multiple=True, metavar="[NAME=]COLUMN:SEPARATOR", help="Feature with many values; or [NAME=]COLUMN,…"
)
@click.option(
    "--numeric", multiple=True, metavar="[NAME=]COLUMN[:TRANSFORM]", help="Number; transform log1p or standardize."
)
@click.option(
    "--order", default="seed", show_default=True, metavar="ORDER", help="Support order: seed, time:SQL or column:SQL."
)
@click.option(
    "--split", default="task:0.8,0.1,0.1", show_default=True, metavar="SPLIT", help="task:FRACTIONS or column:COLUMN."
)
@click.option("--min-task-rows", default=2, show_default=True, help="Shorter tasks are dropped.")
@click.option("--max-task-rows", default=65536, show_default=True, help="Longer tasks become several.")
@click.option("--chunk-rows", default=65536, show_default=True, help="Rows of a chunk, the unit of reading.")
@click.option("--seed", default=0, show_default=True, help="Seed of the shuffles of tasks and rows.")
def prepare(
    manifest: Path | None,
    volumes: tuple[str, ...],
    settings: tuple[str, ...],
    overwrite: bool,
    out: Path | None,
    **flags: Any,  # noqa: ANN401 - the options of a spec, passed on by name
) -> None:
    """Make a Meta-IO dataset from ratings or impressions.

    Either MANIFEST says how, in spec.data.prepare, or the options from --source on do.
    """
    console = Console(highlight=False, soft_wrap=True)
    if (manifest is None) == (flags["source"] is None):
        raise click.UsageError("give a MANIFEST, or --source and the options after it")
    if manifest is not None:
        job = load_manifest(manifest, settings)
        if job.spec.data.prepare is None:
            raise ManifestError([Problem("spec.data.prepare", "required to prepare a dataset; add it to the manifest")])
        spec, root = job.spec.data.prepare, volume_folders(job, volumes)[job.spec.data.volume]
        out = root / job.spec.data.path
    else:
        if out is None:
            raise click.UsageError("--source needs --out, the folder of the dataset")
        spec, root = spec_from_flags(Flags(**flags))
    with PhaseBars(console) as progress:
        card = run(spec, root, out, overwrite=overwrite, progress=progress)
    console.print(f"{out}: {summary(card)}")


def summary(card: Card) -> str:
    """One line: splits, and what was left out."""
    splits = ", ".join(f"{name} {split.rows:,} rows in {split.tasks:,} tasks" for name, split in card.splits.items())
    left_out = ", ".join(f"{count:,} ({reason})" for reason, count in card.left_out.items())
    return splits + (f"; rows left out: {left_out}" if left_out else "")


class PhaseBars:
    """Progress on a console: a bar for each phase on a terminal, else a line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._current: TaskID | None = None
        self._rows: int | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._finish()
        self._bars.stop()

    def phase(self, name: str, rows: int | None = None) -> None:
        """Begin a phase."""
        self._finish()
        self._rows = rows
        if self._console.is_terminal:
            self._current = self._bars.add_task(name, total=rows)
        else:
            self._console.print(name if rows is None else f"{name}: {rows:,} rows")

    def advance(self, rows: int) -> None:
        """Move the phase's bar."""
        if self._current is not None:
            self._bars.advance(self._current, rows)

    def _finish(self) -> None:
        if self._current is not None:
            total = self._rows or 1
            self._bars.update(self._current, total=total, completed=total)
