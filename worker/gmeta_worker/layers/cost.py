"""Which way a linear layer's inner steps are computed: by the multiplications that each takes."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gmeta_worker.layers.tiles import Ints

Path = Literal["low rank", "own weights"]

MARGIN = 2
"""Own weights are written and read once a task, in many small products: on one core of an EPYC they took as long as
low-rank steps of 1.4 to 2.1 times the multiplications, over 17 shapes and both orders."""


@dataclass(frozen=True)
class Passes:
    """The passes of an inner loop and of the query samples after it.

    Attributes:
        steps: K, inner steps.
        support: int64[T], support samples of each task.
        query: int64[T], query samples of each task.
    """

    steps: int
    support: Ints
    query: Ints


def low_rank_cost(inputs: int, outputs: int, passes: Passes) -> int:
    """Multiplications beside those of the shared weight: a row meets its task's S support rows of every step so far,
    S (in + out) each."""
    steps = passes.steps
    met = steps * np.dot(passes.query, passes.support) + steps * (steps - 1) // 2 * np.dot(
        passes.support, passes.support
    )
    return int(met) * (inputs + outputs)


def own_weights_cost(inputs: int, outputs: int, passes: Passes) -> int:
    """Multiplications beside those of the passes, which take each task's own weight instead of the shared one: every
    step forms its gradient, S in out."""
    return passes.steps * int(passes.support.sum()) * inputs * outputs


def cheaper_path(inputs: int, outputs: int, passes: Passes) -> Path:
    """The path of a layer: its tasks' own weights where low-rank steps take at least twice the multiplications.

    That is where the rows that a support row meets, Q + S (K - 1) / 2, exceed the harmonic mean of the layer's widths.
    """
    own = own_weights_cost(inputs, outputs, passes)
    return "own weights" if MARGIN * own < low_rank_cost(inputs, outputs, passes) else "low rank"
