"""`gmeta inspect`: a dataset's card for a human."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from gmeta_api.errors import DataError
from gmeta_worker.metaio.card import Card, NumericCard, PriorCard, SplitCard
from gmeta_worker.metaio.dataset import Dataset
from gmeta_worker.metaio.verify import verify


@click.command(epilog="Example:  gmeta inspect volumes/data/ml-100k --verify")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--verify", "check", is_flag=True, help="Read every file and compare it with its checksum.")
@click.option("--json", "as_json", is_flag=True, help="Print the card as JSON.")
def inspect(dataset: Path, check: bool, as_json: bool) -> None:
    """Show the card of a Meta-IO DATASET: columns, splits, vocabularies, and rows left out."""
    data = Dataset.open(dataset)
    if as_json:
        click.echo(data.card.to_json(), nl=False)
    else:
        console = Console(highlight=False)
        for table in card_tables(data.card):
            console.print(table)
    if check:
        _verify(data, quiet=as_json)


def card_tables(card: Card) -> Iterator[Table]:
    """Lay out a card: features, splits, sizes of tasks, and counts of what is not as one might expect."""
    yield _features(card)
    yield _splits(card.splits)
    yield _counts(card)


def _features(card: Card) -> Table:
    table = _table("Columns", "name", "type", "vocabulary, statistics or transform", left=3)
    schema = card.schema
    for kind, features in (("categorical", schema.categorical), ("multi", schema.multi)):
        for feature in features:
            keys = card.vocabularies[feature.vocabulary].size
            table.add_row(feature.name, kind, f"{feature.vocabulary}: {keys:,} keys")
    for name in schema.numeric:
        prior = card.priors.get(name)
        text = _transform(card.numeric[name])
        table.add_row(*((name, prior.type, f"{_prior(prior)}; {text}") if prior else (name, "numeric", text)))
    for label in schema.labels:
        table.add_row(label, "label", "")
    return table


def _transform(numeric: NumericCard) -> str:
    return f"{numeric.transform}: mean {numeric.mean:.4g}, std {numeric.std:.4g}, {numeric.missing:,} missing"


def _prior(prior: PriorCard) -> str:
    figures = f"{prior.keys:,} keys, {prior.folds} folds"
    if prior.shrinkage is None:
        return figures
    rate = prior.positives / prior.rows
    return f"{prior.label}: {figures}, shrinkage {prior.shrinkage:g}, rate of all rows {rate:.4g}"


def _splits(splits: Mapping[str, SplitCard]) -> Table:
    columns = [_split_lines(split) for split in splits.values()]
    table = _table("Splits", "", *splits)
    for line in columns[0]:
        table.add_row(line, *(f"{column[line]:,}" for column in columns))
    return table


def _split_lines(split: SplitCard) -> dict[str, int]:
    return {
        "tasks": split.tasks,
        "tasks with one class only": split.single_class_tasks,
        "rows": split.rows,
        **{f"rows with {label} = 1": count for label, count in split.positives.items()},
        "duplicate rows": split.duplicate_rows,
        **{f"rows of a task, {quantile}": count for quantile, count in split.task_rows.items()},
        "chunks": len(split.chunks),
        "bytes": split.bytes,
    }


def _counts(card: Card) -> Table:
    table = _table("Source rows", "", "rows")
    table.add_row(f"read from {', '.join(card.provenance.sources)}", f"{card.provenance.rows:,}")
    for reason, count in card.left_out.items():
        table.add_row(f"left out: {reason}", f"{count:,}")
    for source, count in card.unmatched.items():
        table.add_row(f"without a partner in {source}", f"{count:,}")
    return table


def _table(title: str, *columns: str, left: int = 1) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < left else "right", overflow="fold")
    return table


def _verify(data: Dataset, *, quiet: bool) -> None:
    problems = verify(data)
    if problems:
        raise DataError("\n".join(map(str, problems)))
    if not quiet:
        click.echo(f"{data.path}: every file is whole")
