"""Long tasks become near-equal contiguous pieces, none of a single row."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gmeta_worker.metaio.tasks import TaskIndex, cut_long_tasks

sizes = st.lists(
    st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1, max_size=9
)


def index_of(tasks: list[tuple[int, int]]) -> TaskIndex:
    rows, ranked = (np.array(column) for column in zip(*tasks, strict=True))
    return TaskIndex(np.arange(len(rows)), np.zeros(len(rows), np.int64), np.cumsum(rows) - rows, rows, ranked)


@given(sizes, st.integers(2, 70))
def test_pieces_tile_their_task(tasks: list[tuple[int, int]], max_rows: int) -> None:
    whole = index_of(tasks)
    cut = cut_long_tasks(whole, max_rows)
    assert (cut.start[1:] == (cut.start + cut.rows)[:-1]).all()
    for task, (rows, ranked) in enumerate(tasks):
        pieces = cut.rows[cut.key == task]
        assert pieces.sum() == rows
        assert pieces.max() - pieces.min() <= 1
        assert pieces.min() >= min(rows, 2)
        # Only at 2 can a piece be longer: three rows cannot be cut without leaving one alone.
        assert pieces.max() <= max(max_rows, 3)
        assert max_rows == 2 or pieces.max() <= max_rows
        assert max_rows == 2 or len(pieces) == -(-rows // max_rows)
        assert cut.ranked[cut.key == task].sum() == ranked


@given(sizes, st.integers(2, 70))
def test_ranked_rows_of_a_piece_are_its_first(tasks: list[tuple[int, int]], max_rows: int) -> None:
    whole = index_of(tasks)
    cut = cut_long_tasks(whole, max_rows)
    ranked_rows = {int(start) + i for start, n in zip(whole.start, whole.ranked, strict=True) for i in range(n)}
    pieces = zip(cut.start, cut.ranked, strict=True)
    assert {int(start) + i for start, ranked in pieces for i in range(ranked)} == ranked_rows


def test_example() -> None:
    cut = cut_long_tasks(index_of([(10, 5), (3, 3)]), 4)
    assert cut.key.tolist() == [0, 0, 0, 1]
    assert cut.start.tolist() == [0, 3, 6, 10]
    assert cut.rows.tolist() == [3, 3, 4, 3]
    assert cut.ranked.tolist() == [3, 2, 0, 3]
