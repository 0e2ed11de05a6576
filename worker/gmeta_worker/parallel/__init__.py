"""What ranks do together: collectives, the exchange of embedding rows, and the split of work and of blocks."""

from gmeta_worker.parallel.distributed import DistributedGroup
from gmeta_worker.parallel.exchange import Route, RowExchange
from gmeta_worker.parallel.group import ALONE, Group, Handle, PeerLostError, SingleGroup, all_gather, broadcast
from gmeta_worker.parallel.split import block_ranges, split

__all__ = [
    "ALONE",
    "DistributedGroup",
    "Group",
    "Handle",
    "PeerLostError",
    "Route",
    "RowExchange",
    "SingleGroup",
    "all_gather",
    "block_ranges",
    "broadcast",
    "split",
]
