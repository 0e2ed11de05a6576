"""Exit codes of every G-Meta process; the operator's failure rules are written in terms of them."""

import signal
from enum import IntEnum


class ExitCode(IntEnum):
    """The reason a process ended, readable from its pod's exit code; `meaning_of` has it in words.

    64 to 69 are G-Meta's own (outside the shell's and the signals' ranges), 143 is 128 + SIGTERM as everywhere.
    """

    OK = 0
    INTERNAL = 1
    USAGE = 2
    MANIFEST = 64
    DATA = 65
    MODEL = 66
    CHECKPOINT = 67
    COORDINATION = 68
    DIVERGED = 69
    INTERRUPTED = 143

    @property
    def retryable(self) -> bool:
        """Whether the same process, started again unchanged, may succeed."""
        return self in _RETRYABLE


_RETRYABLE = frozenset({ExitCode.INTERNAL, ExitCode.CHECKPOINT, ExitCode.COORDINATION, ExitCode.INTERRUPTED})

_MEANINGS: dict[int, str] = {
    ExitCode.OK: "the work is done",
    ExitCode.INTERNAL: "an error of G-Meta itself or of the machine; nothing is known about its cause",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.MANIFEST: "the manifest is invalid",
    ExitCode.DATA: "the dataset or the source of a dataset is missing, damaged or not what the manifest says",
    ExitCode.MODEL: "the model class cannot be imported, built or adapted",
    ExitCode.CHECKPOINT: "no commit can be written, or none that is needed can be read",
    ExitCode.COORDINATION: "the coordinator cannot be reached, or it has refused this process as a stale one",
    ExitCode.DIVERGED: "the loss is not finite",
    ExitCode.INTERRUPTED: "SIGTERM: the progress is committed and the process has left in order",
    126: "the command cannot be executed",
    127: "the command was not found",
}
"""126 and 127 are what a container ends with whose command cannot be started."""


def meaning_of(code: int) -> str:
    """What an exit code means, G-Meta's own or any other."""
    if code in _MEANINGS:
        return _MEANINGS[code]
    try:
        return f"ended by {signal.Signals(code - (ExitCode.INTERRUPTED - signal.SIGTERM)).name}"
    except ValueError:
        return "none of G-Meta's codes"
