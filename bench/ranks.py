"""Ranks for a benchmark: processes of one thread each on this machine, joined by gloo."""

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from multiprocessing.queues import Queue
from typing import Any

import torch
import torch.distributed as dist

from bench.shaped import enter
from gmeta_worker.parallel import DistributedGroup, Group

PATIENCE = timedelta(minutes=15)


def run_ranks(
    size: int, work: Callable[..., Any], *arguments: object, networks: Sequence[str] | None = None
) -> list[Any]:
    """Call `work(group, *arguments)` in `size` processes; what each returned, by rank.

    Args:
        size: number of ranks.
        work: a function of a module, so that a process can import it.
        arguments: of `work`.
        networks: of this machine, one a rank, as `bench.shaped` makes them; by default all share the loopback.

    Raises:
        RuntimeError: a rank has ended without a result.
    """
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        results: Queue[tuple[int, Any]] = context.Queue()
        processes = [
            context.Process(
                target=_rank, args=(rank, size, folder, results, networks and networks[rank], work, arguments)
            )
            for rank in range(size)
        ]
        for process in processes:
            process.start()
        found = dict(results.get(timeout=PATIENCE.total_seconds()) for _ in processes)
        for process in processes:
            process.join()
    if None in found.values():
        raise RuntimeError("a rank has failed; its error is above")
    return [found[rank] for rank in range(size)]


def _rank(
    rank: int,
    size: int,
    folder: str,
    results: "Queue[Any]",
    network: str | None,
    work: Callable[..., Any],
    arguments: Sequence[object],
) -> None:
    torch.set_num_threads(1)
    if network is None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    else:
        enter(network)
    store = dist.FileStore(f"{folder}/store", size)  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=PATIENCE)
    assert dist.group.WORLD is not None, "init_process_group makes it"
    group: Group = DistributedGroup(dist.group.WORLD)
    result = None
    try:
        result = work(group, *arguments)
    finally:
        results.put((rank, result))
    dist.destroy_process_group()
