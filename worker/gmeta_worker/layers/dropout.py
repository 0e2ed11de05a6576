"""Dropout whose masks are pure functions of the sample, so that no split of the tasks over ranks changes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property

import torch
from torch import Tensor, nn

_FIRST, _SECOND = 0x7FEB352D, 0x846CA68B
_MASK = 0xFFFFFFFF


class RandomDraws:
    """The random numbers of one forward pass over packed samples.

    Args:
        seeds: int64[n], one for every sample and epoch of a run.
        number: of the pass within the step: inner steps and the query pass draw apart.
    """

    def __init__(self, seeds: Tensor, number: int) -> None:
        self._seeds = seeds
        self._number = number
        self._calls = 0

    @cached_property
    def _state(self) -> Tensor:
        """int64[n]; most passes draw nothing."""
        return _mixed(self._seeds ^ (self._seeds >> 32) ^ (self._number * 0x9E3779B9))

    def uniform(self, width: int) -> Tensor:
        """float32[n, width] in [0, 1), other numbers at every call of the pass."""
        self._calls += 1
        columns = torch.arange(width, device=self._seeds.device) + (self._calls << 20)
        return _mixed(self._state.unsqueeze(1) ^ _mixed(columns)).float() * 2.0**-32


_active: ContextVar[RandomDraws | None] = ContextVar("gmeta_random_draws", default=None)


@contextmanager
def random_draws(draws: RandomDraws | None) -> Iterator[None]:
    """Let dropout draw from `draws` inside the block; None leaves everything in."""
    token = _active.set(draws)
    try:
        yield
    finally:
        _active.reset(token)


def dropout(x: Tensor, share: float) -> Tensor:
    """[n, ..., width] with a share of the numbers zeroed and the others scaled up; `x` itself where nothing draws."""
    draws = _active.get()
    if draws is None or share == 0:
        return x
    kept = draws.uniform(x[0].numel()).view_as(x) >= share
    return x * kept / (1 - share)


class Dropout(nn.Module):
    """Dropout for models of your own; does nothing in evaluation.

    Args:
        share: of the inputs that training zeroes, in [0, 1).
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self._share = share

    def forward(self, x: Tensor) -> Tensor:
        """[n, ..., width] -> the same shape."""
        return dropout(x, self._share) if self.training else x


def _mixed(words: Tensor) -> Tensor:
    """A bijective mix of 32-bit words held in int64 (Mueller and Wellons' lowbias32)."""
    words = words & _MASK
    words = ((words ^ (words >> 16)) * _FIRST) & _MASK
    words = ((words ^ (words >> 15)) * _SECOND) & _MASK
    return words ^ (words >> 16)
