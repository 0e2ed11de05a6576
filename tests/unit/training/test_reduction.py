"""What the ranks add up beside their gradients."""

import pytest
import torch
from threaded_group import run_ranks

from gmeta_worker.meta import StepGradients
from gmeta_worker.parallel import ALONE, Group
from gmeta_worker.training.reduction import GlobalSums, Reduction


def reduced(group: Group, worked: float) -> GlobalSums:
    """Rank r has loss r, weight 2, and a gradient of r + 1."""
    own = float(group.rank)
    gradients = StepGradients(
        loss=torch.tensor(own), weight=2.0, rows=torch.zeros(1, 1), dense={"w": torch.full((2, 2), own + 1)}
    )
    return Reduction(group, gradients, stop=False, worked=worked).wait()


def test_straggling_is_how_long_the_ranks_wait_for_the_slowest_in_the_mean() -> None:
    seconds = (1.0, 6.0, 2.0)
    for sums in run_ranks(3, lambda group: reduced(group, seconds[group.rank])):
        assert sums.straggling == pytest.approx(6 - 3)
        assert (sums.loss, sums.weight, sums.stop) == (3.0, 6.0, False)
        assert torch.equal(sums.dense["w"], torch.full((2, 2), 6.0))


def test_a_rank_alone_waits_for_nobody() -> None:
    assert reduced(ALONE, 5.0).straggling == 0
