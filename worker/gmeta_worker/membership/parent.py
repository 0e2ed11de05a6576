"""Ends a process together with the one that started it, however that one ends: nobody would stop it any more."""

import ctypes
import os
import signal
import sys

PARENT_PID = "GMETA_PARENT_PID"
_PR_SET_PDEATHSIG = 1


def announce_parent() -> None:
    """Let processes that this one starts know it."""
    os.environ[PARENT_PID] = str(os.getpid())


def has_parent() -> bool:
    """Whether this process was started by one that it must not outlive."""
    return PARENT_PID in os.environ


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent dies; end it now if that has happened already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ[PARENT_PID]):
        sys.exit("this process's parent is gone")
