"""A rank's way into the round that its agent has joined."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore, TCPStore

from gmeta_api.errors import CoordinationError
from gmeta_worker.coordination.client import CoordinatorClient
from gmeta_worker.coordination.messages import Beat, Member, Round
from gmeta_worker.membership.heartbeat import Heartbeat
from gmeta_worker.membership.parent import die_with_parent
from gmeta_worker.membership.store import RANKS_PREFIX, connect, read_round
from gmeta_worker.parallel import DistributedGroup, Group, SingleGroup
from gmeta_worker.runtime import Runtime


@dataclass(frozen=True)
class RankContext:
    """What a rank is told when it begins.

    Attributes:
        round: who takes part, and the commit that all begin from.
        group: the collectives with the other ranks.
        local_rank: number of this rank among those of its worker.
    """

    round: Round
    group: Group
    local_rank: int


@contextmanager
def join_round(runtime: Runtime, device: torch.device) -> Iterator[RankContext]:
    """Take part in the round of this process's agent, beating until the block ends.

    Args:
        runtime: the job.
        device: where this rank computes.

    Raises:
        CoordinationError: the other members of the round cannot be reached.
    """
    die_with_parent()
    rank, local_rank = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    store = connect(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    announced = read_round(store)
    member = _member(announced, rank)
    beat = Beat(attempt=runtime.document.attempt, generation=announced.generation, process=member.process, rank=rank)
    with Heartbeat(CoordinatorClient(runtime.coordinator), lambda: beat):
        if announced.world_size == 1:
            yield RankContext(announced, SingleGroup(), local_rank)
            return
        backend = _backend(announced, device, local_rank)
        yield RankContext(announced, _meet(announced, rank, store, backend), local_rank)
        dist.destroy_process_group()


def _meet(announced: Round, rank: int, store: TCPStore, backend: str) -> Group:
    """Connect to the other ranks."""
    _stay_on_loopback(announced)
    ranks = PrefixStore(RANKS_PREFIX, store)
    try:
        dist.init_process_group(backend, store=ranks, rank=rank, world_size=announced.world_size)
    except RuntimeError as error:
        raise CoordinationError(
            f"rank {rank} cannot connect to the others of generation {announced.generation} over {backend}: {error}"
        ) from error
    assert dist.group.WORLD is not None, "init_process_group makes it"
    return DistributedGroup(dist.group.WORLD)


def _backend(announced: Round, device: torch.device, local_rank: int) -> str:
    """NCCL where every rank has a GPU of its own; gloo goes through host memory."""
    if device.type != "cuda":
        return "gloo"
    gpus = torch.cuda.device_count()
    torch.cuda.set_device(local_rank % gpus)
    return "nccl" if max(member.ranks for member in announced.members) <= gpus else "gloo"


def _member(announced: Round, rank: int) -> Member:
    return next(each for each in reversed(announced.members) if each.first_rank <= rank)


def _stay_on_loopback(announced: Round) -> None:
    """Keep gloo from looking for this machine by its name, where all ranks are on this machine."""
    if all(_is_loopback(member.host) for member in announced.members):
        names = [name for _, name in socket.if_nameindex() if name.startswith("lo")]
        os.environ.setdefault("GLOO_SOCKET_IFNAME", names[0])


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
