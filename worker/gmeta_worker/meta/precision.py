"""The number format of a model's forward passes: bfloat16 by autocast where training asks for it, else as they come.

Only the forward pass computes in it (and its derivatives, operation by operation): weights, rows, losses, inner steps
and gradients keep their own type.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

import torch

_active: ContextVar[torch.dtype | None] = ContextVar("gmeta_forward_type", default=None)


@contextmanager
def forward_type(dtype: torch.dtype | None) -> Iterator[None]:
    """Let forward passes inside the block compute in `dtype`; None leaves them as they are."""
    token = _active.set(dtype)
    try:
        yield
    finally:
        _active.reset(token)


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """What a forward pass on `device` runs in."""
    dtype = _active.get()
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)
