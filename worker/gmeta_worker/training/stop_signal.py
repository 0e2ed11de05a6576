"""SIGTERM and SIGINT as a question asked once a step: a step is never cut in two."""

import signal
from types import FrameType


class StopSignal:
    """Remembers that the process was asked to stop."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def __call__(self) -> bool:
        """Whether the process was asked to stop."""
        return self._asked

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the signature is Python's
        self._asked = True
