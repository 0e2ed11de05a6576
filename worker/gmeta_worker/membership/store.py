"""The store of a round: a TCPStore in the agent of its first member, at which ranks find the round and each other."""

import socket
from datetime import timedelta
from types import TracebackType
from typing import Self

import torch.distributed as dist
from torch._C._distributed_c10d import TCPStore  # what torch.distributed has, with its types

from gmeta_api.errors import CoordinationError
from gmeta_worker.coordination.messages import Round

ROUND_KEY = "gmeta/round"
RANKS_PREFIX = "gmeta/ranks"
CONNECT_TIMEOUT = timedelta(seconds=15)


class Listener:
    """A port that is kept for a store, so that nobody else can take it before it is known whether it is needed."""

    def __init__(self, host: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, 0), family=family)
        self.port: int = self._socket.getsockname()[1]

    def serve(self, host: str, announced: Round) -> TCPStore:
        """Serve the store, with the round in it."""
        descriptor = self._socket.detach()
        store = TCPStore(
            host,
            self.port,
            is_master=True,
            timeout=CONNECT_TIMEOUT,
            wait_for_workers=False,
            master_listen_fd=descriptor,
        )
        store.set(ROUND_KEY, announced.model_dump_json())
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the port, unless it is served."""
        self._socket.close()


def connect(host: str, port: int) -> TCPStore:
    """Connect to the store of a round, at its first member.

    Raises:
        CoordinationError: it cannot be reached.
    """
    try:
        return TCPStore(host, port, is_master=False, timeout=CONNECT_TIMEOUT, wait_for_workers=False)
    except dist.DistError as error:
        raise CoordinationError(
            f"{host}:{port}: the first worker of this round cannot be reached ({error}); "
            "check that the job's pods may talk to each other"
        ) from error


def read_round(store: TCPStore) -> Round:
    """The round that a store belongs to.

    Raises:
        CoordinationError: it is not told in time.
    """
    try:
        return Round.model_validate_json(store.get(ROUND_KEY))
    except dist.DistError as error:
        raise CoordinationError(f"the store of the round does not answer: {error}") from error
