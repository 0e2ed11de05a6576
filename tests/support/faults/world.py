"""What all of a history shares: its seed's decisions, the clock, the disk, and what has been seen."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import ENOSPC
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from unittest.mock import patch

from faults.clock import Killed, Process, Scheduler

if TYPE_CHECKING:
    from faults.coordinator import Coordinator

REAL_FSYNC = os.fsync


@dataclass(eq=False)
class World(Scheduler):
    """A history while it happens.

    Attributes:
        folder: the run folder.
        loss: how likely each thing that can happen to a message is.
        locks: whether the file system honours locks; where it does not, two coordinators can run at once.
        cut_off: processes that reach no coordinator.
        full_until: how long the disk is full.
        attempt: the current attempt.
        coordinators: of all attempts.
        handling: the coordinator that is handling a message just now.
        damaged: commits that a fault has touched.
        seen: what has happened, counted.
        violations: what must not have happened.
    """

    seed: int
    folder: Path
    random: Random = field(init=False)
    loss: float = field(init=False)
    locks: bool = field(init=False)
    cut_off: set[Process] = field(default_factory=set)
    full_until: float = 0.0
    attempt: int = 0
    coordinators: "list[Coordinator]" = field(default_factory=list)
    handling: "Coordinator | None" = None
    damaged: set[Path] = field(default_factory=set)
    seen: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(Random(self.seed))
        self.loss = self.random.choice([0.0, 0.01, 0.05])
        self.locks = self.chance(0.5)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def saw(self, what: str) -> None:
        self.seen[what] += 1

    @contextmanager
    def disk(self) -> Iterator[None]:
        """Every flush to the disk is a moment at which it may be full and its process may die."""
        with patch.object(os, "fsync", self._fsync):
            yield

    def _fsync(self, descriptor: int) -> None:
        if self.handling is not None:
            self.handling.at_disk(descriptor)
            self._refuse_when_full()
        elif self.current is not None:
            self._die_when_due(self.current.process, descriptor)
            self._refuse_when_full()
            self.pause(self.random.uniform(0.0, 0.3))

    def _refuse_when_full(self) -> None:
        if self.now < self.full_until:
            self.saw("disk full")
            raise OSError(ENOSPC, os.strerror(ENOSPC))

    def _die_when_due(self, process: Process, descriptor: int) -> None:
        if process.dies_at_disk_point is None:
            return
        process.dies_at_disk_point -= 1
        if process.dies_at_disk_point < 0:
            self.saw("rank killed while it wrote")
            self.cut_short(descriptor)
            process.kill()
            raise Killed

    def cut_short(self, descriptor: int) -> None:
        """What a process that dies while it writes leaves behind."""
        size = os.fstat(descriptor).st_size
        if self.chance(0.5) and not Path(f"/proc/self/fd/{descriptor}").is_dir():
            os.ftruncate(descriptor, self.random.randint(0, size))
