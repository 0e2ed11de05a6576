"""Where a step's time goes, as the training thread sees it: work hidden behind it in other threads does not count."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

Phase = Literal["input", "lookup", "gradients", "exchange", "update", "commit", "evaluation"]
T = TypeVar("T")


class PhaseClock:
    """Exposed seconds by phase since the start."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @property
    def seconds(self) -> dict[str, float]:
        """A copy of the totals, in seconds."""
        return dict(self._seconds)

    @contextmanager
    def measure(self, phase: Phase) -> Iterator[None]:
        """Add the time of the `with` block to `phase`."""
        start = self._now()
        try:
            yield
        finally:
            self._seconds[phase] += self._now() - start

    def measured(self, phase: Phase, items: Iterable[T]) -> Iterator[T]:
        """Iterate over `items`, adding the time spent waiting for each to `phase`."""
        iterator = iter(items)
        while True:
            with self.measure(phase):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item
