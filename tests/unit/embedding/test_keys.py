"""Keys to ids, all columns at once, and the distinct ids of a step: the same as one by one and as NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gmeta_worker.embedding import BlockLayout, ExactVocabulary, HashVocabulary, KeyColumns, Vocabulary, distinct

VOCABULARIES: dict[str, Vocabulary] = {
    "movie": ExactVocabulary(np.arange(0, 9000, 3)),
    "user": HashVocabulary(5000),
    "city": HashVocabulary(7),
}
LAYOUT = BlockLayout({name: vocabulary.rows for name, vocabulary in VOCABULARIES.items()})
TABLES = st.lists(st.sampled_from(list(VOCABULARIES)), max_size=5)


@settings(deadline=None, max_examples=50)
@given(TABLES, st.integers(0, 20), st.integers(0, 2**32))
def test_columns_together_give_the_ids_of_each_alone(tables: list[str], rows: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    near, far = draw.integers(0, 9000, (rows, len(tables))), draw.integers(-(2**63), 2**63 - 1, (rows, len(tables)))
    keys = np.where(draw.random(near.shape) < 0.5, near, far)
    found = KeyColumns(LAYOUT, VOCABULARIES, tables).ids(keys)
    assert found.shape == keys.shape
    for column, table in enumerate(tables):
        assert np.array_equal(found[:, column], LAYOUT.ids(table, VOCABULARIES[table].index(keys[:, column])))


@settings(deadline=None, max_examples=200)
@given(hnp.arrays(np.int64, st.integers(0, 60), elements=st.integers(0, 40)), st.sampled_from([41, 2**40, 2**63 - 1]))
def test_distinct_values_are_those_of_numpy(values: np.ndarray, bound: int) -> None:
    found = distinct(values, bound)
    expected = np.unique(values, return_index=True, return_inverse=True)
    for ours, theirs in zip((found.values, found.first, found.inverse), expected, strict=True):
        assert ours.dtype == np.int64
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("bound", [2**62, 2**58 + 1])
def test_values_that_leave_no_room_for_their_places_are_found_as_well(bound: int) -> None:
    values = np.array([bound - 1, 3, bound - 1, 0, 3] * 9)
    found = distinct(values, bound)
    assert found.values.tolist() == [0, 3, bound - 1]
    assert found.first.tolist() == [3, 1, 0]
    assert np.array_equal(found.values[found.inverse], values)
