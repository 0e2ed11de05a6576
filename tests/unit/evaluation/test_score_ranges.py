"""Each rank gets whole scores of its own range, and never much more than its share of distinct ones."""

from collections.abc import Callable

import numpy as np
import pytest
from threaded_group import run_ranks

from gmeta_worker.evaluation.score_ranges import share_out
from gmeta_worker.evaluation.tallies import Tallies, count_rows, merge

ROWS = 20_000
SHAPES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "distinct": lambda draw, rows: draw.permutation(10 * ROWS)[:rows],
    "skewed": lambda draw, rows: (1e6 * draw.random(rows) ** 8).astype(np.int64),
    "one score": lambda draw, rows: np.full(rows, 7),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sizes", [(ROWS, ROWS), (0, ROWS, 10), (ROWS, 0, 1, ROWS // 2)])
def test_ranges_are_whole_even_and_in_order(shape: str, sizes: tuple[int, ...]) -> None:
    draw = np.random.default_rng(len(sizes))
    tag_bits, size = 2, len(sizes)
    own = [
        count_rows(SHAPES[shape](draw, rows) << tag_bits | draw.integers(0, 4, rows), draw.random(rows) < 0.3)
        for rows in sizes
    ]
    ranges = run_ranks(size, lambda group: share_out(group, own[group.rank], tag_bits))
    everything = together(own)
    found = together(ranges)
    for name in ("keys", "negatives", "positives"):
        assert np.array_equal(getattr(found, name), getattr(everything, name))
        assert np.array_equal(np.concatenate([getattr(each, name) for each in ranges]), getattr(everything, name))
    last = [each.keys[-1] >> tag_bits for each in ranges if len(each.keys)]
    first = [each.keys[0] >> tag_bits for each in ranges if len(each.keys)]
    assert all(before < after for before, after in zip(last, first[1:], strict=False)), "no score is in two ranges"
    handed = sum(len(each.keys) for each in own)
    assert max(len(each.keys) for each in ranges) <= 1.2 * handed / size + 4


def together(parts: list[Tallies]) -> Tallies:
    return merge(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("keys", "negatives", "positives"))
    )
