"""The rows of a store as they were at one moment, read by one thread while another goes on updating them."""

import threading
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from gmeta_worker.embedding.room import Room

Places = Callable[[int, int], slice]


class Snapshot:
    """Copy-on-write by rows: an update first saves the rows that it is about to change, unless they are settled.

    A row is *settled* once its value at the moment of the snapshot is safe: saved, or already exported. The lock guards
    this bookkeeping alone. Rows are copied out without it, possibly in the middle of an update; but an update saves a
    row before it changes it, so every row that may have been torn is among the saved ones when the copy is done, and
    is put right from there. Taking a snapshot costs nothing but a map of one byte a row, whose memory the machine
    provides as it is touched; in the worst case the saved rows grow to a second copy of the store.

    Args:
        tensors: the store's own tensors, [rows, width] each.
        places: the rows of the virtual blocks [lo, hi).
        closed: called when the snapshot is needed no more.

    Attributes:
        seconds: time that updates have spent on it.
    """

    def __init__(self, tensors: Mapping[str, Tensor], places: Places, closed: Callable[[], None]) -> None:
        any_tensor = next(iter(tensors.values()))
        self._tensors = tensors
        self._places = places
        self._closed = closed
        self._lock = threading.Lock()
        # Not torch.zeros, which would touch all of it now.
        self._settled = torch.from_numpy(np.zeros(len(any_tensor), dtype=np.bool_)).to(any_tensor.device)
        self._saved: list[tuple[Tensor, Mapping[str, Tensor]]] = []
        self._room = Room(tensors)
        self._next_block = 0
        self.seconds = 0.0

    def save(self, places: Tensor, rows: Mapping[str, Tensor]) -> None:
        """Keep what is about to be changed; before the change, by the thread that makes it.

        Args:
            places: int64[U], unique: where the rows lie in the tensors.
            rows: the values there now, [U, width] each.
        """
        started = time.perf_counter()
        with self._lock:
            fresh = (~self._settled.index_select(0, places)).nonzero().flatten()
            if len(fresh):
                kept = places.index_select(0, fresh)
                self._settled.index_fill_(0, kept, True)
                room = self._room.take(len(fresh))
                for name, tensor in rows.items():
                    torch.index_select(tensor, 0, fresh, out=room[name])
                self._saved.append((kept, room))
        self.seconds += time.perf_counter() - started

    def export_blocks(self, lo: int, hi: int) -> dict[str, Tensor]:
        """Copies in the machine's memory of the rows and the optimiser state of virtual blocks lo..hi.

        Raises:
            ValueError: the blocks are not above all that were exported before: those may have changed since.
        """
        if lo < self._next_block:
            raise ValueError(f"blocks {lo}..{hi}: a snapshot is read once, upwards, and is at block {self._next_block}")
        self._next_block = hi
        self.make_room()
        region = self._places(lo, hi)
        copies = {name: tensor[region].to("cpu", copy=True) for name, tensor in self._tensors.items()}
        with self._lock:
            self._settled[region] = True
            saved = list(self._saved)
        for places, rows in saved:
            _put_right(copies, region, places, rows)
        return copies

    def make_room(self) -> None:
        """Make memory ready for the rows that updates will save; by the thread that exports, before it begins."""
        self._room.make_ready()

    def close(self) -> None:
        """Let the store forget it: updates save nothing any more."""
        self._closed()


def _put_right(copies: dict[str, Tensor], region: slice, places: Tensor, rows: Mapping[str, Tensor]) -> None:
    inside = ((places >= region.start) & (places < region.stop)).nonzero().flatten()
    where = (places[inside] - region.start).cpu()
    for name, copy in copies.items():
        copy.index_copy_(0, where, rows[name].index_select(0, inside).cpu())
