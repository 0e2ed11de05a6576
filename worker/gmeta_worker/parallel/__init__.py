"""What ranks do together: collectives, the exchange of embedding rows, and the split of work and of blocks."""

from gmeta_worker.parallel.distributed import DistributedGroup
from gmeta_worker.parallel.exchange import PendingRoute, Route, RowExchange
from gmeta_worker.parallel.group import (
    ALONE,
    Arrived,
    Group,
    Handle,
    PeerLostError,
    SingleGroup,
    Transfer,
    all_gather,
    broadcast,
    exchange_counts,
)
from gmeta_worker.parallel.split import block_ranges, split

__all__ = [
    "ALONE",
    "Arrived",
    "DistributedGroup",
    "Group",
    "Handle",
    "PeerLostError",
    "PendingRoute",
    "Route",
    "RowExchange",
    "SingleGroup",
    "Transfer",
    "all_gather",
    "block_ranges",
    "broadcast",
    "exchange_counts",
    "split",
]
