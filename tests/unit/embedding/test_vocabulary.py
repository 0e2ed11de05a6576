"""Vocabularies: keys to rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmeta_worker.embedding import ExactVocabulary, HashVocabulary

KEYS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30)


@settings(deadline=None)
@given(known=KEYS, asked=KEYS)
def test_known_keys_have_rows_of_their_own_and_others_share_row_zero(known: list[int], asked: list[int]) -> None:
    ordered = sorted(set(known))
    vocabulary = ExactVocabulary(np.array(ordered, dtype=np.int64))
    row_of = {key: row for row, key in enumerate(ordered, start=1)}
    assert vocabulary.rows == len(ordered) + 1
    rows = vocabulary.index(np.array(asked + known, dtype=np.int64))
    assert rows.dtype == np.int64
    assert rows.tolist() == [row_of.get(key, 0) for key in asked + known]


@pytest.mark.parametrize("keys", [[2, 1], [1, 1]])
def test_unordered_keys_are_refused(keys: list[int]) -> None:
    with pytest.raises(ValueError, match=r"^keys: expected sorted unique keys$"):
        ExactVocabulary(np.array(keys))


@settings(deadline=None)
@given(rows=st.integers(1, 1000), keys=KEYS)
def test_hashed_keys_stay_in_the_table_and_do_not_depend_on_their_neighbours(rows: int, keys: list[int]) -> None:
    vocabulary = HashVocabulary(rows)
    index = vocabulary.index(np.array(keys, dtype=np.int64))
    assert all(0 <= row < rows for row in index)
    assert index.tolist() == [int(vocabulary.index(np.array([key], dtype=np.int64))[0]) for key in keys]


def test_hashing_is_the_same_on_every_machine_and_in_every_version() -> None:
    keys = np.array([[0, 1], [-1, 2**62]], dtype=np.int64)
    assert HashVocabulary(2**40).index(keys).tolist() == [
        [splitmix(0) % 2**40, splitmix(1) % 2**40],
        [splitmix(2**64 - 1) % 2**40, splitmix(2**62) % 2**40],
    ]
    assert splitmix(0) == 0xE220A8397B1DCDAF, "the first output of SplitMix64 with seed 0, as published"


def splitmix(key: int) -> int:
    word = (key + 0x9E3779B97F4A7C15) % 2**64
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB % 2**64
    return word ^ (word >> 31)


def test_hashed_keys_spread_evenly() -> None:
    counts = np.bincount(HashVocabulary(64).index(np.arange(64_000)), minlength=64)
    assert counts.min() > 850
    assert counts.max() < 1150
