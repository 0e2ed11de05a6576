"""A thread that tells the coordinator twice a second that this process is alive, and keeps its latest orders."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from gmeta_api.errors import CoordinationError
from gmeta_worker.coordination.client import CoordinatorClient, FencedError
from gmeta_worker.coordination.messages import Beat, Orders

BEAT_SECONDS = 0.5


class Heartbeat:
    """Beats from entering the `with` block to leaving it.

    Args:
        client: a client of its own: nothing else waits for a beat.
        beat: the message of this moment, or None while there is nothing to tell.
    """

    def __init__(self, client: CoordinatorClient, beat: Callable[[], Beat | None]) -> None:
        self._client = client
        self._beat = beat
        self._stop = threading.Event()
        self._latest: tuple[int, Orders] | None = None
        self._fenced: FencedError | None = None
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def orders(self, generation: int) -> Orders | None:
        """The latest orders that came in reply to a beat of `generation`, if there are any.

        Raises:
            FencedError: another process has taken over.
        """
        if self._fenced is not None:
            raise self._fenced
        latest = self._latest
        return latest[1] if latest is not None and latest[0] == generation else None

    def _run(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            message = self._beat()
            if message is not None:
                self._send(message)

    def _send(self, message: Beat) -> None:
        try:
            orders = self._client.beat(message)
        except FencedError as error:
            self._fenced = error
        except CoordinationError:
            return  # something else answers at the address, or in another version: the next message says so
        else:
            self._latest = self._latest if orders is None else (message.generation, orders)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()
