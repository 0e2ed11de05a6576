"""The choice between low-rank steps and own weights, against a count of the products of a loop over tasks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmeta_worker.layers import Passes
from gmeta_worker.layers.cost import cheaper_path, low_rank_cost, own_weights_cost

WIDTHS = st.integers(1, 300)
TASKS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=6)


def passes(steps: int, tasks: list[tuple[int, int]]) -> Passes:
    support, query = (np.array(side, dtype=np.int64) for side in zip(*tasks, strict=True))
    return Passes(steps, support, query)


@given(inputs=WIDTHS, outputs=WIDTHS, steps=st.integers(0, 5), tasks=TASKS)
def test_both_costs_are_those_of_the_loop(inputs: int, outputs: int, steps: int, tasks: list[tuple[int, int]]) -> None:
    low_rank = own_weights = 0
    for support, query in tasks:
        for taken in range(steps):  # the support pass before the next step, and the gradient that makes it
            low_rank += support * (taken * support) * (inputs + outputs)
            own_weights += support * inputs * outputs
        low_rank += query * (steps * support) * (inputs + outputs)
    assert low_rank_cost(inputs, outputs, passes(steps, tasks)) == low_rank
    assert own_weights_cost(inputs, outputs, passes(steps, tasks)) == own_weights


@pytest.mark.parametrize(
    ("inputs", "outputs", "steps", "samples", "path"),
    [
        pytest.param(367, 256, 1, 16, "low rank", id="a wide layer, few samples"),
        pytest.param(367, 256, 3, 200, "own weights", id="a wide layer, many samples and steps"),
        pytest.param(64, 32, 3, 30, "own weights", id="P0's second top layer after three steps on 30 samples"),
        pytest.param(64, 32, 1, 4, "low rank", id="the same after a step on 4"),
        pytest.param(128, 1, 1, 2, "own weights", id="one output: a weight is no more than a factor"),
        pytest.param(128, 64, 1, 0, "low rank", id="nothing adapts"),
    ],
)
def test_the_path_follows_samples_and_widths(inputs: int, outputs: int, steps: int, samples: int, path: str) -> None:
    assert cheaper_path(inputs, outputs, passes(steps, [(samples, samples)] * 3)) == path
