"""Adaptive layers: ordinary outside a task context, each task's own weights inside."""

import pytest
import torch
from torch import Tensor, nn

from gmeta_api.errors import ModelError
from gmeta_worker.layers import (
    MLP,
    AdaptiveBias,
    AdaptiveLinear,
    Packing,
    TaskContext,
    current_task_context,
    task_context,
)

SUPPORT, QUERY = [2, 0, 3], [1, 2, 4]
RATE = 0.5


def packing(lengths: list[int]) -> Packing:
    return Packing.of(torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths)), len(lengths))


def adapted_output(layer: nn.Module, support_x: Tensor, support_d: Tensor, query_x: Tensor) -> Tensor:
    """The layer's output on the query after one step whose output gradients on the support are `support_d`."""
    support, query = packing(SUPPORT), packing(QUERY)
    with task_context(TaskContext(support, support, {layer}, {}, recording=True)) as context:
        layer(support_x)
    steps = context.steps_after([support_d], {layer: torch.full((len(support_x),), RATE)}, differentiable=False)
    with task_context(TaskContext(query, support, {layer}, steps, recording=False)):
        output: Tensor = layer(query_x)
    return output


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("middle", [(), (2,), (2, 3)])
def test_linear_computes_with_each_tasks_own_weight(bias: bool, middle: tuple[int, ...]) -> None:
    layer = AdaptiveLinear(4, 3, bias=bias).double()
    support_x, support_d, query_x = random(5, *middle, 4), random(5, *middle, 3), random(7, *middle, 4)
    expected = []
    for x, d, q in zip(
        *(t.split(n) for t, n in ((support_x, SUPPORT), (support_d, SUPPORT), (query_x, QUERY))), strict=True
    ):
        weight = layer.weight - RATE * d.reshape(-1, 3).T @ x.reshape(-1, 4)
        own_bias = layer.bias - RATE * d.reshape(-1, 3).sum(0) if bias else None
        expected.append(nn.functional.linear(q, weight, own_bias))
    got = adapted_output(layer, support_x, support_d, query_x)
    torch.testing.assert_close(got, torch.cat(expected), rtol=1e-12, atol=1e-12)


def test_bias_computes_with_each_tasks_own_vector() -> None:
    layer = AdaptiveBias(3).double()
    support_d, query_x = random(5, 3), random(7, 3)
    own = [layer.bias - RATE * d.sum(0) for d in support_d.split(SUPPORT)]
    expected = torch.cat([q + b for q, b in zip(query_x.split(QUERY), own, strict=True)])
    got = adapted_output(layer, random(5, 3), support_d, query_x)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_layers_are_ordinary_without_a_context() -> None:
    layer, plain = AdaptiveLinear(4, 3), nn.Linear(4, 3)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(5, 4)
    assert torch.equal(layer(x), plain(x))
    assert torch.equal(AdaptiveBias(4)(x), x)
    assert current_task_context() is None


def test_layers_that_do_not_adapt_are_not_recorded() -> None:
    adapting, shared = AdaptiveLinear(4, 4), AdaptiveLinear(4, 4)
    support = packing(SUPPORT)
    with task_context(TaskContext(support, support, {adapting}, {}, recording=True)) as context:
        shared(adapting(torch.randn(5, 4)))
    assert [call.layer for call in context.calls] == [adapting]


def test_a_context_ends_with_its_block_even_on_an_error() -> None:
    support = packing(SUPPORT)
    context = TaskContext(support, support, set(), {}, recording=False)
    seen = []

    def fail() -> None:
        with task_context(context):
            seen.append(current_task_context())
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert seen == [context]
    assert current_task_context() is None


@pytest.mark.parametrize("shape", [(4, 4), (4,), (10, 4)])
def test_an_input_without_a_row_for_every_sample_is_refused(shape: tuple[int, ...]) -> None:
    layer, support = AdaptiveLinear(4, 3), packing(SUPPORT)
    with task_context(TaskContext(support, support, {layer}, {}, recording=True)), pytest.raises(ModelError) as error:
        layer(torch.zeros(shape))
    assert str(error.value) == (
        f"AdaptiveLinear: expected one leading row for each of the 5 samples, received an input of shape "
        f"{list(shape)}; keep the samples as the first dimension, because the inner loop must "
        "know the task of every row"
    )


@pytest.mark.parametrize("activate_last", [True, False])
def test_mlp_is_linear_and_relu_in_turn(activate_last: bool) -> None:
    mlp = MLP([4, 5, 3], activate_last=activate_last)
    assert [name for name, _ in mlp.named_parameters()] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    x = torch.randn(6, 4)
    weights = dict(mlp.named_parameters())
    hidden = torch.relu(x @ weights["0.weight"].T + weights["0.bias"])
    last = hidden @ weights["1.weight"].T + weights["1.bias"]
    torch.testing.assert_close(mlp(x), torch.relu(last) if activate_last else last)
