"""Prometheus counters that follow running totals kept elsewhere."""

from prometheus_client import Counter


class RunningTotals:
    """A counter whose children are set to totals; a total that falls back (its owner was made anew) adds nothing."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._totals: dict[tuple[str, ...], float] = {}

    def follow(self, labels: tuple[str, ...], total: float) -> None:
        """Raise the child of `labels` by what its total has grown since the last call."""
        grown = max(0.0, total - self._totals.get(labels, 0.0))
        self._counter.labels(*labels).inc(grown)
        self._totals[labels] = total
