"""The process that a worker's ranks are forked from, so that what they import is loaded once and not with every round.

On a machine under load a rank that imports everything itself takes some 20 s to its first step, a forked one 2 s.
Imports nothing heavy: the server loads torch while the agent does.
"""

import multiprocessing
from multiprocessing import forkserver

from gmeta_worker.membership.cores import share_cores
from gmeta_worker.membership.parent import announce_parent

START_METHOD = "forkserver"


def start_fork_server(ranks: int, preload: str) -> None:
    """Start it for a worker of so many ranks, with the module `preload` loaded; it ends with this process."""
    if ranks > 1:
        share_cores(ranks)
    announce_parent()
    multiprocessing.get_context(START_METHOD).set_forkserver_preload([preload])
    forkserver.ensure_running()
