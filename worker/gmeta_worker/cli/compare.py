"""`gmeta compare`: runs side by side."""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from gmeta_worker.report.comparison import Line, Run, compare, compared_split, read_runs
from gmeta_worker.report.page import count, duration, metric, signed

MEASURES = {"AUC": "auc", "GAUC": "gauc", "loss": "loss"}
"""What fits a terminal; the page has more."""


@click.command(name="compare", epilog="Example:  gmeta compare runs/maml runs/fomaml runs/joint --out compare.html")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--split", help="Split whose scores are compared [the one that the first run was scored on at its end].")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="compare.html",
    show_default=True,
    help="File of the page.",
)
def compare_runs(runs: tuple[Path, ...], split: str | None, out: Path) -> None:
    """Compare ended RUNS: their settings, scores and differences to the first one, as tables and as a page with plots.

    A run is the folder that `gmeta run` has left its report.json in.
    """
    if len({run.resolve() for run in runs}) < len(runs):
        raise click.BadParameter(f"expected each run once, received {' '.join(map(str, runs))}", param_hint="RUNS")
    read = read_runs(runs)
    chosen = compared_split(read, split)
    lines = compare(read, chosen)
    console = Console(highlight=False)
    console.print(runs_table(read))
    console.print(scores_table(chosen, read[0].name, lines))
    write_page(out, read, chosen, lines)
    console.print(f"Comparison: {out}", soft_wrap=True)


def runs_table(runs: Sequence[Run]) -> Table:
    """A line for each run: what it was and how long it took."""
    table = _table("Runs", ("run", "algorithm", "model", "outcome"), ("steps", "samples/s", "wall time"))
    for run in runs:
        report = run.report
        what = (run.name, report.setup.algorithm, report.setup.model, report.ending.outcome)
        speed = count(report.throughput.samples_per_second)
        table.add_row(*what, count(run.steps), speed, duration(report.wall_seconds))
    return table


def scores_table(split: str, first: str, lines: Sequence[Line]) -> Table:
    """A line for each label, shot, mode and run, with the differences to the first run."""
    columns = [column for name in MEASURES for column in (name, "±")]
    table = _table(f"{split}, differences to {first}", ("label", "shot", "model", "run"), columns)
    for line in lines:
        cells = [
            text
            for measure in MEASURES.values()
            for text in (metric(line.value(measure)), signed(line.difference(measure)))
        ]
        table.add_row(line.label, str(line.shot), "adapted" if line.adapted else "un-adapted", line.run, *cells)
    return table


def write_page(out: Path, runs: Sequence[Run], split: str, lines: Sequence[Line]) -> None:
    """Write the page of a comparison."""
    from gmeta_worker.report.comparison_figures import draw_comparison
    from gmeta_worker.report.comparison_page import render_comparison

    page = render_comparison(runs, split, lines, draw_comparison(runs, split, lines))
    try:
        out.write_text(page)
    except OSError as error:
        raise click.BadParameter(
            f"{out} cannot be written ({error.strerror}); name a file in a folder that exists", param_hint="--out"
        ) from error


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0), show_edge=False)
    for column in left:
        table.add_column(column, no_wrap=column != "run", overflow="fold")
    for column in right:
        table.add_column(column, justify="right", no_wrap=True)
    return table
