"""Exit codes of every G-Meta process; the operator's failure rules are written in terms of them."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The reason a process ended, readable from its pod's exit code.

    64 to 69 are G-Meta's own (outside the shell's and the signals' ranges), 143 is 128 + SIGTERM as everywhere.
    """

    OK = 0
    """The work is done."""
    INTERNAL = 1
    """An error of G-Meta itself or of the machine; nothing is known about its cause."""
    USAGE = 2
    """The command line is wrong."""
    MANIFEST = 64
    """The manifest is invalid."""
    DATA = 65
    """The dataset or the source of a dataset is missing, damaged or not what the manifest says."""
    MODEL = 66
    """The model class cannot be imported, built or adapted."""
    CHECKPOINT = 67
    """No commit can be written, or none that is needed can be read."""
    COORDINATION = 68
    """The coordinator cannot be reached, or it has refused this process as a stale one."""
    DIVERGED = 69
    """The loss is not finite."""
    INTERRUPTED = 143
    """SIGTERM: the progress is committed and the process has left in order."""

    @property
    def retryable(self) -> bool:
        """Whether the same process, started again unchanged, may succeed."""
        return self in _RETRYABLE


_RETRYABLE = frozenset({ExitCode.INTERNAL, ExitCode.CHECKPOINT, ExitCode.COORDINATION, ExitCode.INTERRUPTED})
