"""A full check of a dataset: every file is read as training reads it."""

from collections.abc import Callable, Iterator
from functools import partial

from gmeta_api.errors import DataError
from gmeta_worker.metaio.dataset import Dataset, Split


def verify(dataset: Dataset) -> list[DataError]:
    """Return what is wrong with the dataset's files: size, checksum, columns, rows; nothing if all are whole."""
    problems = []
    for check in _checks(dataset):
        try:
            check()
        except DataError as error:
            problems.append(error)
    return problems


def _checks(dataset: Dataset) -> Iterator[Callable[[], object]]:
    for name in dataset.card.vocabularies:
        yield partial(dataset.vocabulary, name)
    for name in dataset.card.priors:
        yield partial(dataset.prior, name)
    for name in dataset.card.splits:
        split = dataset.split(name)
        yield partial(_read_index, split)
        for number in range(len(split.card.chunks)):
            yield partial(split.read_chunk, number)


def _read_index(split: Split) -> None:
    _ = split.tasks
