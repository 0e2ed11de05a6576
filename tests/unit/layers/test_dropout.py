"""Dropout's masks: a share of the numbers, apart for every pass and call, and the same however samples are split."""

import pytest
import torch
from torch import Tensor

from gmeta_worker.layers import MLP, Dropout, RandomDraws, random_draws

SEEDS = torch.arange(1000) * 0x9E3779B97F4A7C1 + 12345


def dropped(seeds: Tensor, *, number: int = 0, calls: int = 1, width: int = 50, share: float = 0.25) -> Tensor:
    """What the last of some calls on ones gives."""
    layer = Dropout(share)
    with random_draws(RandomDraws(seeds, number)):
        for _ in range(calls):
            out: Tensor = layer(torch.ones(len(seeds), width))
    return out


def test_a_share_is_zeroed_and_the_rest_scaled_up() -> None:
    out = dropped(SEEDS)
    assert out.unique().tolist() == pytest.approx([0, 1 / 0.75])
    zeroed = (out == 0).float()
    assert float(zeroed.mean()) == pytest.approx(0.25, abs=0.01)
    # neither a sample nor a column is favoured: 1,000 draws of probability a quarter have a deviation of 0.014
    assert float((zeroed.mean(0) - 0.25).abs().max()) < 0.06
    assert float((zeroed.mean(1) - 0.25).abs().max()) < 0.33


def test_neighbours_passes_and_calls_draw_apart() -> None:
    first = dropped(SEEDS) == 0
    others = [
        first.roll(1, 0),
        first.roll(1, 1),
        dropped(SEEDS, number=1) == 0,
        dropped(SEEDS, calls=2) == 0,
        dropped(SEEDS + (1 << 33)) == 0,
    ]
    for other in others:
        assert float((first & other).float().mean()) == pytest.approx(0.25**2, abs=0.01)


def test_a_mask_does_not_depend_on_the_other_samples() -> None:
    whole = dropped(SEEDS)
    parts = torch.cat([dropped(SEEDS[:1]), dropped(SEEDS[1:400]), dropped(SEEDS[400:])])
    assert torch.equal(whole, parts)


def test_evaluation_and_a_pass_without_draws_leave_everything_in() -> None:
    x = torch.randn(4, 3, 2)
    layer = Dropout(0.5)
    assert torch.equal(layer(x), x)
    with random_draws(RandomDraws(SEEDS[:4], 0)):
        assert not torch.equal(layer(x), x)
        assert torch.equal(layer.eval()(x), x)


def test_an_mlp_drops_what_it_has_activated_and_never_its_output() -> None:
    mlp = MLP([3, 8, 1], activate_last=False, dropout=0.9)
    with torch.no_grad():
        mlp[1].bias += 5.0  # type: ignore[operator, assignment]
    with random_draws(RandomDraws(SEEDS[:50], 0)):
        out = mlp(torch.randn(50, 3))
        assert bool((out != 0).all())
        assert torch.equal(mlp.eval()(torch.zeros(50, 3)), mlp.eval()(torch.zeros(50, 3)))
