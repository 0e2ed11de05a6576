"""A line through measured points."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Line:
    """What an amount of work costs.

    Attributes:
        fixed: seconds, whatever the amount.
        each: seconds for each unit of it.
    """

    fixed: float
    each: float

    def __call__(self, amount: float) -> float:
        """Seconds."""
        return self.fixed + self.each * amount


def fit_line(amounts: Sequence[float], seconds: Sequence[float]) -> Line:
    """The line of least squares with neither part negative.

    Args:
        amounts: of work, at least one, none negative.
        seconds: that each took.
    """
    x, y = np.asarray(amounts, dtype=float), np.asarray(seconds, dtype=float)
    spread = x - x.mean()
    if not spread.any():
        return Line(0.0, float(y.mean() / x.mean())) if x.mean() > 0 else Line(float(y.mean()), 0.0)
    each = float(spread @ y / (spread @ spread))
    fixed = float(y.mean() - each * x.mean())
    if each < 0:
        return Line(float(y.mean()), 0.0)
    return Line(fixed, each) if fixed >= 0 else Line(0.0, float(x @ y / (x @ x)))
