"""What ranks find in their environment, beside what torch's agent puts there."""

import ctypes
import os
import signal

from gmeta_api.errors import CoordinationError

AGENT_PID = "GMETA_AGENT_PID"
_PR_SET_PDEATHSIG = 1


def die_with_agent() -> None:
    """Let the kernel end this process when its agent dies: nobody would stop it any more.

    Raises:
        CoordinationError: the agent is dead already.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ[AGENT_PID]):
        raise CoordinationError("this rank's agent is gone; start ranks by `python -m gmeta_worker worker` only")


def share_cores(ranks: int) -> None:
    """Let each of this machine's ranks compute with its share of the cores, unless OMP_NUM_THREADS is set."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // ranks)))
