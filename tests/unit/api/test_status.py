"""What the status makes of figures."""

import pytest

from gmeta_api.status import LARGEST, Progress


@pytest.mark.parametrize(
    ("measured", "shown"),
    [(123456.789123, "123457.0"), (0.78123456789, "0.781235"), (3210.98765, "3210.99"), (0.5, "0.5"), (0, "0.0")],
)
def test_a_figure_has_six_digits(measured: float, shown: str) -> None:
    """`kubectl get` prints every digit of a number column."""
    assert repr(Progress(samples_per_second=measured).samples_per_second) == shown


def test_rounding_keeps_within_the_bounds() -> None:
    progress = Progress(loss=LARGEST, samples_per_second=-LARGEST, auc=0.9999999, gauc=0)
    assert (progress.loss, progress.samples_per_second, progress.auc, progress.gauc) == (LARGEST, -LARGEST, 1.0, 0.0)
