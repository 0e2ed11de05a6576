"""Memory that is taken is nobody else's, whoever made it ready."""

from collections.abc import Sequence

import pytest
import torch

from gmeta_worker.embedding import room
from gmeta_worker.embedding.room import Room

LIKE = {"weights": torch.zeros(1, 4), "sum": torch.zeros(1, 1, dtype=torch.float64)}


@pytest.mark.parametrize("ready", [(), (0,), (0, 3, 4)])
@pytest.mark.parametrize("sizes", [[3, 5, 4, 1, 9, 2, 7, 10, 0, 6], [10] * 6, [11, 30, 1]])
def test_pieces_do_not_overlap(sizes: Sequence[int], ready: Sequence[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten rows of 24 bytes fit a piece; more than that get memory of their own."""
    monkeypatch.setattr(room, "PIECE_BYTES", 240)
    space = Room(LIKE)
    taken = []
    for number, size in enumerate(sizes):
        if number in ready:
            space.make_ready()
        rows = space.take(size)
        assert {name: (tensor.shape, tensor.dtype) for name, tensor in rows.items()} == {
            name: ((size, tensor.shape[1]), tensor.dtype) for name, tensor in LIKE.items()
        }
        for tensor in rows.values():
            tensor.fill_(number)
        taken.append(rows)
    for number, rows in enumerate(taken):
        assert all(bool((tensor == number).all()) for tensor in rows.values())
