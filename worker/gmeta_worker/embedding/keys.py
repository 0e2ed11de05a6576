"""From the keys of a step to the ids of its rows: all features of a kind at once, and each row once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmeta_worker.embedding.blocks import BlockLayout
from gmeta_worker.embedding.vocabulary import HashVocabulary, Vocabulary, hashed_rows

Ints = NDArray[np.int64]
_WORD_BITS = 63


class KeyColumns:
    """The columns of a matrix of keys, each with the vocabulary of its table.

    Hashed columns are mapped together: 26 columns of 1,024 keys one by one are 26 times the calls for the same numbers.

    Args:
        layout: gives rows their global ids.
        vocabularies: of every table.
        tables: the table of each column.
    """

    def __init__(self, layout: BlockLayout, vocabularies: Mapping[str, Vocabulary], tables: Sequence[str]) -> None:
        self._layout = layout
        self._vocabularies = [vocabularies[table] for table in tables]
        self._rows = np.array([vocabulary.rows for vocabulary in self._vocabularies], dtype=np.int64)
        self._first_rows = np.array([layout.first_rows[table] for table in tables], dtype=np.int64)
        hashed = [isinstance(vocabulary, HashVocabulary) for vocabulary in self._vocabularies]
        self._hashed, self._others = np.flatnonzero(hashed), np.flatnonzero(np.logical_not(hashed))

    def ids(self, keys: Ints) -> Ints:
        """Global ids of the rows of `keys`, int64[N, columns]."""
        return self._layout.scrambled(self._table_rows(keys) + self._first_rows)

    def _table_rows(self, keys: Ints) -> Ints:
        if not len(self._others):
            return hashed_rows(keys, self._rows)
        rows = np.empty(keys.shape, dtype=np.int64)
        rows[:, self._hashed] = hashed_rows(keys[:, self._hashed], self._rows[self._hashed])
        for column in self._others:
            rows[:, column] = self._vocabularies[column].index(keys[:, column])
        return rows


@dataclass(frozen=True)
class Distinct:
    """The different values of an array.

    Attributes:
        values: int64[U], ascending.
        first: int64[U], where each occurs first.
        inverse: int64[N], the number in `values` of each of the array's values.
    """

    values: Ints
    first: Ints
    inverse: Ints


def distinct(values: Ints, bound: int) -> Distinct:
    """What `np.unique` says of values in [0, bound), by one plain sort.

    To know where values come from, `np.unique` sorts indirectly, which takes several times as long as sorting numbers
    in place. Here a number is a value and its place, in one word.
    """
    place_bits = (len(values) - 1).bit_length() if len(values) else 0
    if place_bits + bound.bit_length() > _WORD_BITS:
        return Distinct(*np.unique(values, return_index=True, return_inverse=True))
    words = (values << place_bits) | np.arange(len(values))
    words.sort()
    places, ordered = words & ((1 << place_bits) - 1), words >> place_bits
    starts = np.ones(len(values), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=starts[1:])
    inverse = np.empty_like(values)
    inverse[places] = np.cumsum(starts) - 1
    return Distinct(ordered[starts], places[starts], inverse)
