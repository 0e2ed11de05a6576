"""Vocabularies: from the 64-bit keys of a dataset to the rows of an embedding table."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gmeta_worker.embedding.mixing import mix64

Ints = NDArray[np.int64]


class Vocabulary(Protocol):
    """Maps keys to rows of a table.

    Attributes:
        rows: rows of the table.
    """

    rows: int

    def index(self, keys: Ints) -> Ints:
        """Rows in [0, rows) of `keys`, same shape."""
        ...


class ExactVocabulary:
    """A row for every known key, and row 0 for all others.

    Args:
        keys: int64, sorted and unique: the known keys; key number i has row i + 1.

    Raises:
        ValueError: the keys are not sorted and unique.
    """

    def __init__(self, keys: Ints) -> None:
        if np.any(keys[1:] <= keys[:-1]):
            raise ValueError("keys: expected sorted unique keys")
        self._keys = keys
        self.rows = len(keys) + 1

    def index(self, keys: Ints) -> Ints:
        """Rows of `keys`."""
        if not len(self._keys):
            return np.zeros_like(keys)
        found = np.searchsorted(self._keys, keys)
        known = self._keys[np.minimum(found, len(self._keys) - 1)] == keys
        return np.where(known, found + 1, 0).astype(np.int64)


class HashVocabulary:
    """A fixed number of rows that keys share by hash; no key is unknown, and some collide.

    Args:
        rows: rows of the table.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def index(self, keys: Ints) -> Ints:
        """Rows of `keys`."""
        return hashed_rows(keys, np.array([self.rows]))


def hashed_rows(keys: Ints, rows: Ints) -> Ints:
    """Where keys fall by hash in tables of `rows` rows, one for all keys or one a column."""
    words = np.ascontiguousarray(keys, dtype=np.int64).view(np.uint64)
    return (mix64(words) % rows.astype(np.uint64)).view(np.int64)
