"""Which job is looked at next: now, at a deadline, or again after a failure."""

import asyncio
import time
from collections import Counter

from gmeta_operator.store import Key

FIRST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 60.0


class WorkQueue:
    """Keys waiting to be worked on. A key is never worked on twice at a time, and never waits twice.

    The deadlines lie in the event loop's own heap of timers, one a key.
    """

    def __init__(self) -> None:
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: dict[Key, float] = {}
        self._active: dict[Key, float] = {}
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: Counter[Key] = Counter()
        self._last_end = time.monotonic()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def retrying(self) -> int:
        """How many keys have failed when they were last worked on."""
        return len(self._failures)

    @property
    def stalled(self) -> float:
        """For how many seconds keys have waited and none was ended."""
        oldest = next(iter(self._waiting.values()), None)
        return 0.0 if oldest is None else time.monotonic() - max(oldest, self._last_end)

    def added(self, key: Key) -> float:
        """The monotonic time at which a key that is being worked on was added."""
        return self._active.get(key, time.monotonic())

    def add(self, key: Key) -> None:
        """Work on the key as soon as possible; once more if it is being worked on."""
        if key in self._active:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting[key] = time.monotonic()
            self._ready.put_nowait(key)

    async def get(self) -> Key:
        """Wait for a key; `done` or `failed` has to follow."""
        key = await self._ready.get()
        self._active[key] = self._waiting.pop(key)
        return key

    def done(self, key: Key, wake_after: float | None = None) -> None:
        """End the work on a key; it is worked on again after so many seconds, if any, or once it is added."""
        self._failures.pop(key, None)
        self._release(key, wake_after)

    def failed(self, key: Key) -> float:
        """End the work on a key, which is worked on again after a pause; its length in seconds."""
        self._failures[key] += 1
        pause: float = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(self._failures[key] - 1, 20))
        self._again.discard(key)
        self._release(key, pause)
        return pause

    def _release(self, key: Key, wake_after: float | None) -> None:
        self._active.pop(key, None)
        self._last_end = time.monotonic()
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        if wake_after is not None:
            self._timers[key] = asyncio.get_running_loop().call_later(max(0.0, wake_after), self.add, key)
