"""Bytes and seconds of a step by phase, on any number of ranks.

What a rank computes is a line in what it has to do, fitted to measured steps. What it exchanges is bytes over a
bandwidth and messages times a latency: an AlltoAll of a payload of P bytes keeps 1/N of it and sends a message to each
of the N - 1 others; a ring AllReduce sends 2 (N - 1) messages that are 2 (N - 1) / N of the payload together.

Ranks are taken to have equal parts of a step, and owners of rows to be asked alike: what either differs by comes on
top. Rows that several ranks want are counted for each, so owners are taken to add up and update none of them together:
the update's seconds are an upper bound.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gmeta_api.memory import FLOAT_BYTES, ID_BYTES
from gmeta_worker.forecast.fit import Line, fit_line


@dataclass(frozen=True)
class Work:
    """What one rank has to do in a step.

    Attributes:
        samples: support and query samples.
        keys: values of categorical features, as they are read.
        unique_rows: U, the rows that they need.
        dim: D, numbers of a row.
        number_bytes: bytes of a number of a row on its way: 4, or 2 in 16-bit exchanges.
        dense_parameters: K.
    """

    samples: int
    keys: int
    unique_rows: int
    dim: int
    number_bytes: int
    dense_parameters: int

    @property
    def id_bytes(self) -> int:
        """Of the ids of the rows."""
        return ID_BYTES * self.unique_rows

    @property
    def row_bytes(self) -> int:
        """Of the rows, and again of their gradients."""
        return self.number_bytes * self.dim * self.unique_rows

    @property
    def dense_bytes(self) -> int:
        """Of the dense gradients."""
        return FLOAT_BYTES * self.dense_parameters


@dataclass(frozen=True)
class Network:
    """What connects a rank with the others.

    Attributes:
        bytes_per_second: that it can send, while it receives as many.
        latency: seconds that a message takes beyond its bytes.
    """

    bytes_per_second: float
    latency: float

    def all_to_all(self, payload: float, ranks: int) -> float:
        """Seconds to send and receive a payload, split over all ranks."""
        return (ranks - 1) * (payload / ranks / self.bytes_per_second + self.latency)

    def all_reduce(self, payload: float, ranks: int) -> float:
        """Seconds to sum up a payload over all ranks, around a ring."""
        return 2 * (ranks - 1) * (payload / ranks / self.bytes_per_second + self.latency)


DRIVERS: Mapping[str, Callable[[Work], int]] = {
    "input": lambda work: work.keys,
    "lookup": lambda work: work.unique_rows,
    "gradients": lambda work: work.samples,
    "exchange": lambda work: work.unique_rows,
    "update": lambda work: work.unique_rows,
}
"""What the seconds that a rank computes in a phase grow with."""

Rates = Mapping[str, Line]
"""By phase."""


def fit_rates(works: Sequence[Work], phases: Sequence[Mapping[str, float]]) -> Rates:
    """The rates of a rank that was alone, from steps of several sizes and their seconds by phase."""
    return {
        name: fit_line([driver(work) for work in works], [seconds.get(name, 0.0) for seconds in phases])
        for name, driver in DRIVERS.items()
    }


def forecast(work: Work, rates: Rates, network: Network, ranks: int) -> dict[str, float]:
    """Seconds of a step by phase, of a rank that has `work` to do, among so many ranks.

    The ids travel while the step before computes, so they cost only what they take longer than that. Row gradients and
    dense gradients leave together and share the network.
    """
    computing = {name: rates[name](driver(work)) for name, driver in DRIVERS.items()}
    ids = network.all_to_all(work.id_bytes, ranks)
    return {
        **computing,
        "ids, beyond the gradients": max(0.0, ids - computing["gradients"]) if ranks > 1 else 0.0,
        "rows": network.all_to_all(work.row_bytes, ranks),
        "row gradients": network.all_to_all(work.row_bytes, ranks),
        "dense gradients": network.all_reduce(work.dense_bytes, ranks),
    }
