"""Read-ahead: a background thread runs an iterator into a bounded queue."""

import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    """The iterator ended, by itself or with an error."""

    error: Exception | None


class _Channel(Generic[Item]):
    """A bounded queue whose producer can be stopped while it waits; ``room`` holds a token for each free place."""

    def __init__(self, depth: int) -> None:
        self.items: SimpleQueue[Item | _End] = SimpleQueue()
        self.room: SimpleQueue[None] = SimpleQueue()
        self.stopped = False
        for _ in range(depth):
            self.room.put(None)


class Prefetcher(Generic[Item]):
    """Iterates over ``source``, run up to ``depth`` items ahead by a thread.

    An exception of the source is raised in the consumer, after the items before it. The thread ends with the source, on
    ``close``, or when the prefetcher is garbage.

    Attributes:
        wait_seconds: Time that the consumer has waited for items so far.
    """

    def __init__(self, source: Iterator[Item], depth: int) -> None:
        self.wait_seconds = 0.0
        self._channel: _Channel[Item] = _Channel(depth)
        self._done = False
        # The thread must not refer to self, or the finalizer below would never run.
        thread = threading.Thread(target=_run, args=(source, self._channel), name="gmeta-prefetch", daemon=True)
        self._finalizer = weakref.finalize(self, _stop, thread, self._channel)
        thread.start()

    def close(self) -> None:
        """End the thread and wait for it; safe to call again."""
        self._done = True
        self._finalizer()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        if self._done:
            raise StopIteration
        started = time.perf_counter()
        item = self._channel.items.get()
        self.wait_seconds += time.perf_counter() - started
        if not isinstance(item, _End):
            self._channel.room.put(None)
            return item
        self.close()
        raise item.error or StopIteration


def _run(source: Iterator[Item], channel: _Channel[Item]) -> None:
    end = _End(None)
    try:
        for item in source:
            channel.room.get()
            if channel.stopped:
                return
            channel.items.put(item)
            # Or this frame would keep the consumer's item alive while it waits for room.
            del item
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the consumer's
        end = _End(error)
    channel.items.put(end)


def _stop(thread: threading.Thread, channel: _Channel[Item]) -> None:
    channel.stopped = True
    channel.room.put(None)
    # Garbage collection may run this in the thread itself.
    if thread is not threading.current_thread():
        thread.join()
