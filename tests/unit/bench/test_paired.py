"""The interval of a median of pairs holds it as often as it claims."""

from math import comb

import pytest
from bench.paired import CONFIDENCE, PairedRatio, paired_ratio, trimmed


@pytest.mark.parametrize("pairs", range(1, 60))
def test_the_interval_is_the_shortest_that_holds_the_median_often_enough(pairs: int) -> None:
    def outside(cut: int) -> float:
        return 2 * sum(comb(pairs, count) for count in range(cut + 1)) / 2**pairs

    cut = trimmed(pairs)
    assert cut == 0 or outside(cut) <= 1 - CONFIDENCE
    assert outside(cut + 1) > 1 - CONFIDENCE


def test_ratios_are_of_pairs_not_of_medians() -> None:
    assert paired_ratio([2.0, 40.0, 3.0], [1.0, 10.0, 1.0]) == PairedRatio(3.0, 2.0, 4.0)


def test_every_measurement_has_its_partner() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        paired_ratio([1.0, 2.0], [1.0])
