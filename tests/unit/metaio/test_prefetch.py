"""The background thread: errors reach the consumer, and it never outlives its use."""

import gc
import threading
import time
from collections.abc import Iterator

import pytest

from gmeta_worker.metaio.prefetch import Prefetcher


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "gmeta-prefetch"]


def endless() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def failing() -> Iterator[int]:
    yield 1
    raise ValueError("broken source")


def test_items_come_in_order_and_then_the_end() -> None:
    ahead = Prefetcher(iter(range(100)), 3)
    assert list(ahead) == list(range(100))
    assert list(ahead) == []
    assert not threads()


def test_an_error_is_raised_after_the_items_before_it() -> None:
    ahead = Prefetcher(failing(), 2)
    assert next(ahead) == 1
    with pytest.raises(ValueError, match=r"^broken source$"):
        next(ahead)
    with pytest.raises(StopIteration):
        next(ahead)
    assert not threads()


def test_it_reads_no_further_ahead_than_its_depth() -> None:
    produced: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(100):
            produced.append(number)
            yield number

    ahead = Prefetcher(numbers(), 3)
    deadline = time.monotonic() + 5
    while len(produced) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    # Three in the queue, and one in the hand of the thread that waits for room.
    assert len(produced) == 4
    ahead.close()


def test_close_ends_a_thread_that_waits_for_room() -> None:
    ahead = Prefetcher(endless(), 2)
    assert next(ahead) == 0
    ahead.close()
    ahead.close()
    assert not threads()
    assert list(ahead) == []


def test_garbage_ends_its_thread() -> None:
    ahead = Prefetcher(endless(), 2)
    assert next(ahead) == 0
    del ahead
    gc.collect()
    assert not threads()


def test_waiting_is_measured() -> None:
    def slow() -> Iterator[int]:
        time.sleep(0.05)
        yield 1

    ahead = Prefetcher(slow(), 1)
    assert list(ahead) == [1]
    assert ahead.wait_seconds > 0.03
