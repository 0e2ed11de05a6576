"""The least time that matrix products take: their counted operations over the rate of this machine's sgemm."""

import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

ROWS, WIDTH, REPEATS = 2048, 512, 15


def counted(step: Callable[[], object]) -> int:
    """Floating point operations of a step's matrix products."""
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def sgemm_rate() -> float:
    """Floating point operations a CPU second of one float32 product [2048, 512] x [512, 512], the best of 15."""
    left, right = torch.rand(ROWS, WIDTH), torch.rand(WIDTH, WIDTH)
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        torch.mm(left, right)
        seconds.append(time.process_time() - start)
    return 2 * ROWS * WIDTH * WIDTH / min(seconds)
