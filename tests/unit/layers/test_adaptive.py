"""Adaptive layers: ordinary outside a task context, each task's own parameters inside."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gmeta_api.errors import ModelError
from gmeta_worker.layers import (
    MLP,
    AdaptiveBias,
    AdaptiveLayerNorm,
    AdaptiveLinear,
    LayerTasks,
    Packing,
    TaskContext,
    current_task_context,
    task_context,
)
from gmeta_worker.layers.adaptive import AdaptiveVectors
from gmeta_worker.layers.lowrank import LowRankLinear
from gmeta_worker.layers.own import OwnLinear, OwnVectors

SUPPORT, QUERY = [2, 0, 3], [1, 2, 4]
SIZES = torch.tensor([0.5, 0.25, 1.5], dtype=torch.float64)


def packing(lengths: list[int]) -> Packing:
    return Packing.of(torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths)), len(lengths))


Path = Callable[[nn.Module, Packing, Tensor], LayerTasks]


def adapted(path: Path, layer: nn.Module, support_x: Tensor, support_d: Tensor) -> LayerTasks:
    """The layer after one step whose output gradients on the support are `support_d`."""
    support = packing(SUPPORT)
    start = path(layer, support, -SIZES)
    with task_context(TaskContext(support, {layer: start}, recording=True)) as context:
        layer(support_x)
    return context.after([support_d.flatten(0, -2)], differentiable=False)[layer]


def output(layer: nn.Module, tasks: LayerTasks, query_x: Tensor) -> Tensor:
    with task_context(TaskContext(packing(QUERY), {layer: tasks}, recording=False)):
        h: Tensor = layer(query_x)
    return h


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def by_task(support_x: Tensor, support_d: Tensor, query_x: Tensor) -> list[tuple[Tensor, ...]]:
    """(size, x, d, q) of each task, x and d with one row for every row of a sample."""
    sides = [
        [part.flatten(0, -2) for part in side.split(lengths)]
        for side, lengths in ((support_x, SUPPORT), (support_d, SUPPORT))
    ]
    return list(zip(SIZES, *sides, query_x.split(QUERY), strict=True))


@pytest.mark.parametrize("path", [LowRankLinear, OwnLinear])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("middle", [(), (2,), (2, 3)])
def test_linear_computes_with_each_tasks_own_weight(path: Path, bias: bool, middle: tuple[int, ...]) -> None:
    layer = AdaptiveLinear(4, 3, bias=bias).double()
    support_x, support_d, query_x = random(5, *middle, 4), random(5, *middle, 3), random(7, *middle, 4)
    expected, moved = [], {name: torch.zeros_like(each) for name, each in layer.named_parameters()}
    for size, x, d, q in by_task(support_x, support_d, query_x):
        weight = layer.weight - size * d.T @ x
        own_bias = layer.bias - size * d.sum(0) if bias else None
        expected.append(nn.functional.linear(q, weight, own_bias))
        moved["weight"] = moved["weight"] + layer.weight - weight
        if own_bias is not None:
            moved["bias"] = moved["bias"] + layer.bias - own_bias
    tasks = adapted(path, layer, support_x, support_d)
    torch.testing.assert_close(output(layer, tasks, query_x), torch.cat(expected), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(dict(tasks.movement()), moved, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("middle", [(), (2,)])
@pytest.mark.parametrize("norm", [True, False])
def test_bias_and_layer_norm_compute_with_each_tasks_own_vectors(norm: bool, middle: tuple[int, ...]) -> None:
    layer: AdaptiveVectors = (AdaptiveLayerNorm(3) if norm else AdaptiveBias(3)).double()
    support_x, support_d, query_x = random(5, *middle, 3), random(5, *middle, 3), random(7, *middle, 3)
    expected = []
    for size, x, d, q in by_task(support_x, support_d, query_x):
        own_bias = layer.bias - size * d.sum(0)
        if norm:
            assert layer.weight is not None
            gain = layer.weight - size * (d * nn.functional.layer_norm(x, (3,))).sum(0)
            expected.append(nn.functional.layer_norm(q, (3,), gain, own_bias))
        else:
            expected.append(q + own_bias)
    tasks = adapted(lambda *_: OwnVectors(layer, packing(SUPPORT), -SIZES), layer, support_x, support_d)
    assert isinstance(tasks, OwnVectors)
    torch.testing.assert_close(output(layer, tasks, query_x), torch.cat(expected), rtol=1e-12, atol=1e-12)
    moved = {name: each.detach() * 0 for name, each in layer.named_parameters()}
    for name, own in tasks.vectors.items():
        moved[name] = sum((dict(layer.named_parameters())[name] - task for task in own), start=moved[name])
    torch.testing.assert_close(dict(tasks.movement()), moved, rtol=1e-12, atol=1e-12)


def test_layers_are_ordinary_without_a_context() -> None:
    layer, plain = AdaptiveLinear(4, 3), nn.Linear(4, 3)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(5, 4)
    assert torch.equal(layer(x), plain(x))
    assert torch.equal(AdaptiveBias(4)(x), x)
    assert torch.equal(AdaptiveLayerNorm(4)(x), nn.LayerNorm(4)(x))
    assert current_task_context() is None


def test_layers_that_do_not_adapt_are_not_recorded() -> None:
    adapting, shared = AdaptiveLinear(4, 4), AdaptiveLinear(4, 4)
    support = packing(SUPPORT)
    start = LowRankLinear(adapting, support, -SIZES)
    with task_context(TaskContext(support, {adapting: start}, recording=True)) as context:
        shared(adapting(torch.randn(5, 4)))
    assert len(context.outputs) == 1
    assert context.after([torch.randn(5, 4)], differentiable=False).keys() == {adapting}


def test_a_context_ends_with_its_block_even_on_an_error() -> None:
    context = TaskContext(packing(SUPPORT), {}, recording=False)
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
    layers: dict[nn.Module, LayerTasks] = {layer: LowRankLinear(layer, support, -SIZES)}
    with task_context(TaskContext(support, layers, recording=True)), pytest.raises(ModelError) as error:
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
