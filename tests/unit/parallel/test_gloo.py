"""The group over real processes and sockets: the same results as the threads that stand in for it elsewhere."""

import multiprocessing
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from many_ranks import Outcome, job, make_batch, train
from threaded_group import run_ranks

from gmeta_worker.parallel import DistributedGroup, Group, PeerLostError, all_gather, broadcast, exchange_counts

SIZE = 3
BATCHES = [make_batch([5, 1, 12, 3], 0), make_batch([4], 1), make_batch([2, 9], 2)]


def collectives(group: Group) -> dict[str, Any]:
    """Some of everything, with empty parts, and three training steps, of which the second has one task."""
    rank = group.rank
    flat = torch.full((5,), 10.0**rank)
    handle = group.all_reduce(flat)
    told = exchange_counts(group, [rank, 0, 2 * rank])
    handle.wait()
    sent = torch.full((3 * rank, 2), rank, dtype=torch.float64)
    spec = job("MAML", dense="Adam", sparse="Adam", rate=0.05)
    outcome, one_by_one = train(spec, group, BATCHES), train(spec, group, BATCHES, ahead=False)
    return {
        "sum": flat.tolist(),
        "told": told,
        "rows": group.all_to_all(sent, [rank, 0, 2 * rank], told).wait().tolist(),
        "gathered": all_gather(group, torch.arange(rank)).tolist(),
        "broadcast": broadcast(group, torch.tensor([rank + 7])).tolist(),
        "losses": [result.loss for result in outcome.results],
        "nothing is ahead of an update": same_bits(outcome, one_by_one),
        "weights": float(outcome.rows["weights"].abs().sum()),
    }


def same_bits(left: Outcome, right: Outcome) -> bool:
    """Losses, dense weights, rows and optimiser state."""
    states = [each.dense | each.rows for each in (left, right)]
    return [each.loss for each in left.results] == [each.loss for each in right.results] and all(
        torch.equal(states[0][name], states[1][name]) for name in states[0] | states[1]
    )


def in_process(rank: int, folder: str, results: Any, lost: bool) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    store = dist.FileStore(f"{folder}/store", SIZE)  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=rank, world_size=SIZE, timeout=timedelta(seconds=120))
    assert dist.group.WORLD is not None
    group = DistributedGroup(dist.group.WORLD)
    if not lost:
        results.put((rank, collectives(group)))
        dist.destroy_process_group()
        return
    exchange_counts(group, [0] * SIZE)
    if rank == 1:
        os._exit(1)
    try:
        group.all_reduce(torch.zeros(100_000)).wait()
        results.put((rank, "no error"))
    except PeerLostError as error:
        results.put((rank, str(error)))
    results.close()
    results.join_thread()
    os._exit(0)


def run_processes(folder: Path, *, lost: bool, answers: int) -> dict[int, Any]:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    arguments = [(rank, str(folder), results, lost) for rank in range(SIZE)]
    processes = [context.Process(target=in_process, args=each) for each in arguments]
    for process in processes:
        process.start()
    try:
        return dict(results.get(timeout=200) for _ in range(answers))
    finally:
        for process in processes:
            process.join(30)
            process.kill()


def test_real_processes_do_what_threads_do(tmp_path: Path) -> None:
    threads = run_ranks(SIZE, collectives)
    processes = run_processes(tmp_path, lost=False, answers=SIZE)
    for rank, expected in enumerate(threads):
        weights, losses = processes[rank].pop("weights"), processes[rank].pop("losses")
        assert weights == pytest.approx(expected.pop("weights"), rel=1e-12)
        assert losses == pytest.approx(expected.pop("losses"), rel=1e-12)
        assert processes[rank] == expected
    assert all(each["nothing is ahead of an update"] for each in threads)
    assert threads[0]["sum"] == [111.0] * 5
    assert threads[2]["told"] == [0, 2, 4]
    assert all(each["gathered"] == [0, 0, 1] for each in threads)
    assert threads[1]["broadcast"] == [7]


def test_a_lost_peer_is_named_as_such(tmp_path: Path) -> None:
    errors = run_processes(tmp_path, lost=True, answers=SIZE - 1)
    assert sorted(errors) == [0, 2]
    assert all(error.startswith("all_reduce: another rank is gone or out of reach: ") for error in errors.values())
