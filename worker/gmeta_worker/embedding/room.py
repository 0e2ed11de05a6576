"""Memory for saved rows that another thread has made ready.

The first touch of new memory costs several times the copy that is put there: 7.5 ms instead of 1.0 for the rows and the
Adam state of a step. So the thread that has time touches it beforehand.
"""

import threading
from collections.abc import Mapping

from torch import Tensor

PIECE_BYTES = 16 * 2**20
AHEAD = 2


class Room:
    """Pieces of memory for rows, taken by one thread and made ready by another.

    Args:
        like: tensors whose widths, types and device the rows have.
    """

    def __init__(self, like: Mapping[str, Tensor]) -> None:
        self._like = like
        row_bytes = sum(tensor.shape[1] * tensor.element_size() for tensor in like.values())
        self._rows = max(1, PIECE_BYTES // max(row_bytes, 1))
        self._ready: list[dict[str, Tensor]] = []
        self._taken = 0
        self._piece: dict[str, Tensor] | None = None
        self._used = 0
        self._lock = threading.Lock()

    def take(self, rows: int) -> dict[str, Tensor]:
        """Memory for so many rows, [rows, width] each; ready memory if there is some."""
        if rows > self._rows:
            return self._allocate(rows)
        if self._piece is None or self._used + rows > self._rows:
            self._piece, self._used = self._next(), 0
        start, self._used = self._used, self._used + rows
        return {name: tensor[start : self._used] for name, tensor in self._piece.items()}

    def make_ready(self) -> None:
        """Make as many pieces ready as were taken since the last time, and some more."""
        with self._lock:
            wanted, self._taken = max(self._taken, AHEAD), 0
        while len(self._ready) < wanted:
            piece = self._allocate(self._rows)
            for tensor in piece.values():
                tensor.zero_()
            with self._lock:
                self._ready.append(piece)

    def _next(self) -> dict[str, Tensor]:
        with self._lock:
            self._taken += 1
            if self._ready:
                return self._ready.pop()
        return self._allocate(self._rows)

    def _allocate(self, rows: int) -> dict[str, Tensor]:
        return {name: tensor.new_empty(rows, tensor.shape[1]) for name, tensor in self._like.items()}
