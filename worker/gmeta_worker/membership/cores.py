"""Threads of ranks that share a machine."""

import os


def share_cores(ranks: int) -> None:
    """Let each of this machine's ranks compute with its share of the cores, unless OMP_NUM_THREADS is set."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // ranks)))
