"""Other ways to compute a meta-step: a loop over modules, vmap, and TorchOpt and higher where they are installed."""

import importlib.util
import warnings
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import binary_cross_entropy_with_logits, linear

from bench.meta_loops import Gradients, Half, Weights, halves
from bench.meta_problem import FEATURES, INPUTS, RATE, Problem
from gmeta_worker.models import FeatureRows, Features

Step = Callable[[], Gradients]

UPPER = torch.triu_indices(FEATURES + 1, FEATURES + 1, offset=1)


def peers(problem: Problem, model: nn.Module, order: int) -> Iterator[tuple[str, Step]]:
    """Those that are installed and can compute the case."""
    yield "module loop", lambda: module_loop(problem, model, second_order=order == 2)
    if not problem.case.ragged:
        yield "vmap", lambda: vmapped(problem, dict(model.named_parameters()), second_order=order == 2)
    if problem.case.rows:
        return
    if order == 2 and importlib.util.find_spec("torchopt"):  # its differentiable optimisers have no first order
        yield "TorchOpt", lambda: torchopt_loop(problem, model)
    if importlib.util.find_spec("higher"):
        yield "higher", lambda: higher_loop(problem, model, second_order=order == 2)


def vmapped(problem: Problem, weights: Weights, *, second_order: bool) -> Gradients:
    """All tasks in one call: weights carry a dimension of tasks inside vmap."""
    case = problem.case
    leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    leaf = problem.rows.detach().requires_grad_()
    support, query = (_stacked(halves(problem, part)) for part in (problem.samples.support, problem.samples.query))

    def task(own: Weights, rows: Tensor, support: tuple[Tensor, ...], query: tuple[Tensor, ...]) -> Tensor:
        for _ in range(case.steps):
            by_weight, *by_row = grad(_loss, argnums=(0, 1) if case.rows else (0,))(own, rows, *support)
            own = {name: w - RATE * kept(by_weight[name]) for name, w in own.items()}
            rows = rows - RATE * kept(by_row[0]) if by_row else rows
        return _loss(own, rows, *query)

    def kept(gradient: Tensor) -> Tensor:
        return gradient if second_order else gradient.detach()

    losses = vmap(task, in_dims=(None, 0, 0, 0))(leaves, leaf.view(case.tasks, -1, leaf.shape[1]), support, query)
    return _differentiated(losses.sum(), leaves, leaf)


def module_loop(problem: Problem, model: nn.Module, *, second_order: bool) -> Gradients:
    """The product's model, called with each task's weights: what one writes first."""
    case = problem.case
    weights = {name: weight.detach().requires_grad_() for name, weight in model.named_parameters()}
    leaf = problem.rows.detach().requires_grad_()
    total = leaf.new_zeros(())
    for rows, support, query in _tasks(problem, leaf):
        own: Weights = weights
        for _ in range(case.steps):
            adapting = [*own.values(), *([rows] if case.rows else [])]
            gradients = torch.autograd.grad(
                _called_loss(model, own, rows, support), adapting, create_graph=second_order
            )
            own = {name: w - RATE * g for (name, w), g in zip(own.items(), gradients, strict=False)}
            rows = rows - RATE * gradients[-1] if case.rows else rows
        total = total + _called_loss(model, own, rows, query)
    return _differentiated(total, weights, leaf)


def torchopt_loop(problem: Problem, model: nn.Module) -> Gradients:
    """TorchOpt's MetaSGD, which steps a module in place and puts it back after each task."""
    import torchopt

    net = deepcopy(model)
    start = dict(net.named_parameters())
    optimizer = torchopt.MetaSGD(net, lr=RATE)
    states = [torchopt.extract_state_dict(each, by="reference") for each in (net, optimizer)]
    leaf = problem.rows.detach().requires_grad_()
    total = leaf.new_zeros(())
    for rows, support, query in _tasks(problem, leaf):
        for _ in range(problem.case.steps):
            optimizer.step(_module_loss(net, rows, support))
        total = total + _module_loss(net, rows, query)
        for each, state in zip((net, optimizer), states, strict=True):
            torchopt.recover_state_dict(each, state)
    return _differentiated(total, start, leaf)


def higher_loop(problem: Problem, model: nn.Module, *, second_order: bool) -> Gradients:
    """higher's inner loop context, its gradients added up task by task."""
    import higher

    net = deepcopy(model)
    optimizer = torch.optim.SGD(net.parameters(), RATE)
    names = [name for name, _ in net.named_parameters()]
    leaf = problem.rows.detach().requires_grad_()
    total = leaf.new_zeros(())
    sums: Sequence[Tensor] | None = None
    for rows, support, query in _tasks(problem, leaf):
        context = higher.innerloop_ctx(net, optimizer, copy_initial_weights=False, track_higher_grads=second_order)
        with warnings.catch_warnings(), context as (own, inner):
            warnings.simplefilter("ignore")
            for _ in range(problem.case.steps):
                inner.step(_module_loss(own, rows, support))
            loss = _module_loss(own, rows, query)
            parameters = net.parameters() if second_order else own.parameters()
            gradients = torch.autograd.grad(loss, [*parameters, leaf])
        sums = gradients if sums is None else [a + b for a, b in zip(sums, gradients, strict=True)]
        total = total + loss.detach()
    assert sums is not None, "a problem has tasks"
    *dense, by_row = sums
    return Gradients(total, dict(zip(names, dense, strict=True)), by_row)


def _tasks(problem: Problem, leaf: Tensor) -> Iterator[tuple[Tensor, Half, Half]]:
    parts = (halves(problem, part) for part in (problem.samples.support, problem.samples.query))
    return zip(leaf.split(list(problem.row_counts)), *parts, strict=True)


def _differentiated(total: Tensor, weights: Weights, leaf: Tensor) -> Gradients:
    *dense, rows = torch.autograd.grad(total, [*weights.values(), leaf])
    return Gradients(total.detach(), dict(zip(weights, dense, strict=True)), rows)


def _stacked(tasks: Iterator[Half]) -> tuple[Tensor, Tensor, Tensor]:
    columns = zip(*((half.numeric, half.index, half.labels) for half in tasks), strict=True)
    numeric, index, labels = (torch.stack(column) for column in columns)
    return numeric, index, labels


def _module_loss(net: nn.Module, rows: Tensor, half: Half) -> Tensor:
    return binary_cross_entropy_with_logits(net(*_arguments(rows, half)), half.labels)


def _called_loss(net: nn.Module, weights: Weights, rows: Tensor, half: Half) -> Tensor:
    return binary_cross_entropy_with_logits(functional_call(net, dict(weights), _arguments(rows, half)), half.labels)


def _arguments(rows: Tensor, half: Half) -> tuple[Features, FeatureRows]:
    return Features(half.numeric), FeatureRows(INPUTS.features, rows[half.index])


def _loss(weights: Weights, rows: Tensor, numeric: Tensor, index: Tensor, labels: Tensor) -> Tensor:
    """The model in operators that vmap knows."""
    hidden = linear(numeric, weights["bottom.0.weight"], weights["bottom.0.bias"]).relu()
    bottom = linear(hidden, weights["bottom.1.weight"], weights["bottom.1.bias"]).relu()
    vectors = torch.cat([bottom.unsqueeze(1), rows[index]], 1)
    dots = torch.bmm(vectors, vectors.transpose(1, 2))[:, UPPER[0], UPPER[1]]
    hidden = linear(torch.cat([bottom, dots], 1), weights["top.0.weight"], weights["top.0.bias"]).relu()
    hidden = linear(hidden, weights["top.1.weight"], weights["top.1.bias"]).relu()
    logits = linear(hidden, weights["top.2.weight"], weights["top.2.bias"]).squeeze(1)
    return binary_cross_entropy_with_logits(logits, labels)
