"""Every algorithm's update against its equations, written out over plain tensors in float64, one task at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from gmeta_api.errors import ModelError
from gmeta_api.spec import AdaptSpec, MetaSpec, ModelSpec
from gmeta_worker.meta import Maml, StepGradients, build_algorithm
from gmeta_worker.meta.generic import GenericAdapter
from gmeta_worker.meta.targets import find_targets
from gmeta_worker.models import FeatureRows, Features, ModelInputs, build_model

SIZES = [(5, 3), (0, 2), (1, 1), (9, 7), (2, 1)]
RATE, SHRINKAGE = 0.7, 2.5


def problem_and_model(tools: Any, **spec: Any) -> tuple[Any, Any]:
    problem = tools.make_problem(SIZES, multi=0, singles=3)
    model = build_model(ModelSpec(embedding_dim=3, bottom=[5], top=[6, 4], **spec), problem.inputs, seed=0).double()
    with torch.no_grad():  # what starts at zero would hide mistakes
        for number, parameter in enumerate(model.parameters()):
            draw = torch.Generator().manual_seed(number)
            parameter.add_(0.1 * torch.randn(parameter.shape, dtype=torch.float64, generator=draw))
    return problem, model


def by_the_book(
    model: Any,
    problem: Any,
    adapted: Sequence[str],
    *,
    steps: int,
    rates: Mapping[str, Tensor],
    shrinkages: Mapping[str, Tensor],
    second_order: bool = True,
) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """(loss, dense, rows): the sum over tasks of the mean query loss and its gradients, `rates` and all."""
    weights = {name: p for name, p in model.named_parameters() if not name.startswith("step_sizes")}
    rows = problem.rows.clone().requires_grad_()
    losses = []
    for task in problem.tasks:
        own = dict(weights)
        for _ in range(steps if task.support else 0):
            loss = summed_loss(model, own, rows, problem, task.support)
            gradients = torch.autograd.grad(
                loss, [own[n] for n in adapted], create_graph=second_order, materialize_grads=True
            )
            for name, gradient in zip(adapted, gradients, strict=True):
                layer = name.rpartition(".")[0]
                own[name] = own[name] - rates[layer] / (len(task.support) + shrinkages[layer]) * gradient
        losses.append(summed_loss(model, own, rows, problem, task.query) / len(task.query))
    total = torch.stack(losses).sum()
    leaves = [*model.parameters(), rows]
    *dense, by_row = torch.autograd.grad(total, leaves, materialize_grads=True)
    return total.detach(), dict(zip(dict(model.named_parameters()), dense, strict=True)), by_row


def summed_loss(model: Any, weights: Mapping[str, Tensor], rows: Tensor, problem: Any, samples: list[Any]) -> Tensor:
    """The loss by the model's own forward, one sample after the other, and the formula of the cross entropy."""
    total = rows.new_zeros(())
    for sample in samples:
        stacked = torch.stack([rows[i] for i in sample.index]).unsqueeze(0)
        numeric = torch.tensor([sample.numeric], dtype=torch.float64)
        p = forward(model, weights, numeric, stacked, problem.inputs).sigmoid()[0]
        total = total - (p.log() if sample.labels[0] else (1 - p).log())
    return total


def forward(model: Any, weights: Mapping[str, Tensor], numeric: Tensor, stacked: Tensor, inputs: ModelInputs) -> Tensor:
    out: Tensor = functional_call(model, dict(weights), (Features(numeric), FeatureRows(inputs.features, stacked)))
    return out


def difference(got: StepGradients, loss: Tensor, dense: Mapping[str, Tensor], rows: Tensor) -> float:
    pairs = [(got.loss, loss), (got.rows, rows), *((got.dense[name], each) for name, each in dense.items())]
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-3)) for a, b in pairs)


ALL_LAYERS = ["bottom.0", "bottom.1", "top.0", "top.1", "top.2"]
PARTS = {"adaptive": {"bias": True, "context": True, "wide": 4}}


@pytest.mark.parametrize(
    ("algorithm", "spec", "layers"),
    [
        ("MAML", {}, ALL_LAYERS),
        ("FOMAML", {}, ALL_LAYERS),
        ("ANIL", {}, ["top.0", "top.1", "top.2"]),
        ("ANIL", {"type": "MeLU"}, ["top.0", "top.1", "top.2"]),
        ("CAVIA", PARTS, ["bias", "context", "wide.head"]),
        ("LiMAML", {"type": "LiMAML", "meta_block": [4, 2]}, ["meta_block.0", "meta_block.1"]),
        ("MetaSGD", {}, ALL_LAYERS),
        ("MAML", {"type": "DeepFM"}, ["linear", "top.0", "top.1", "top.2"]),
        ("MAML", {"type": "DCN", "cross_layers": 2}, ["cross.0", "cross.1", "top.0", "top.1", "top.2"]),
        ("MAML", {"type": "WideDeep", **PARTS}, ["bias", "context", "wide.head", "linear", "top.0", "top.1", "top.2"]),
    ],
)
@pytest.mark.parametrize("steps", [1, 3])
def test_the_update_is_that_of_the_equations(
    tools: Any, algorithm: str, spec: Any, layers: list[str], steps: int
) -> None:
    problem, model = problem_and_model(tools, **spec)
    adapt = {"dense": layers} if algorithm == "MAML" and "type" in spec else None
    meta = MetaSpec(algorithm=algorithm, inner={"steps": steps, "rate": RATE, "shrinkage": SHRINKAGE}, adapt=adapt)
    built = build_algorithm(meta, model, problem.inputs.features)
    adapted = [name for name, _ in model.named_parameters() if name.rpartition(".")[0] in layers]
    rates, shrinkages = step_sizes(model, layers)
    expected = by_the_book(
        model,
        problem,
        adapted,
        steps=steps,
        rates=rates,
        shrinkages=shrinkages,
        second_order=algorithm != "FOMAML",
    )
    assert difference(built.gradients(model, problem.rows, problem.packed()), *expected) < 1e-10


def step_sizes(model: Any, layers: Sequence[str]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Rates and shrinkages by layer, as functions of the learned parameters where there are some."""
    if not hasattr(model, "step_sizes"):
        rate, shrinkage = torch.tensor([RATE, SHRINKAGE], dtype=torch.float64)
        return dict.fromkeys(layers, rate), dict.fromkeys(layers, shrinkage)
    (sizes,) = model.step_sizes.values()
    with torch.no_grad():
        sizes.logs += torch.linspace(-0.5, 0.5, sizes.logs.numel(), dtype=torch.float64).view_as(sizes.logs)
    rates = {layer: RATE * sizes.logs[0, n].exp() for n, layer in enumerate(layers)}
    return rates, {layer: SHRINKAGE * sizes.logs[1, n].exp() for n, layer in enumerate(layers)}


@pytest.mark.parametrize("algorithm", ["MAML", "FOMAML", "CAVIA"])
def test_learned_step_sizes_get_the_gradient_of_the_query_loss(tools: Any, algorithm: str) -> None:
    problem, model = problem_and_model(tools, **PARTS)
    layers = ["bias", "context", "wide.head"]
    inner = {"steps": 2, "rate": RATE, "shrinkage": SHRINKAGE, "learned": True}
    built = build_algorithm(
        MetaSpec(algorithm=algorithm, inner=inner, adapt={"dense": layers}), model, problem.inputs.features
    )
    adapted = [name for name, _ in model.named_parameters() if name.rpartition(".")[0] in layers]
    rates, shrinkages = step_sizes(model, layers)
    expected = by_the_book(
        model,
        problem,
        adapted,
        steps=2,
        rates=rates,
        shrinkages=shrinkages,
        second_order=algorithm != "FOMAML",
    )
    got = built.gradients(model, problem.rows, problem.packed())
    assert difference(got, *expected) < 1e-10
    assert got.dense[f"step_sizes.{algorithm}.logs"].abs().min() > 0


def test_learned_step_sizes_task_by_task_are_those_of_all_tasks_at_once(tools: Any) -> None:
    problem, model = problem_and_model(tools, **PARTS)
    adapt = AdaptSpec(dense=("top.*", "bias"), rows=("single0", "single2"))
    inner = {"steps": 2, "rate": RATE, "shrinkage": SHRINKAGE, "learned": True}
    packed = build_algorithm(MetaSpec(inner=inner, adapt=adapt), model, problem.inputs.features)
    step_sizes(model, ["top.0"])  # changes them
    assert isinstance(packed, Maml)
    one_by_one = GenericAdapter(find_targets(adapt, model, problem.inputs.features))
    generic = Maml(replace(packed.loops, adapter=one_by_one))
    first, second = (each.gradients(model, problem.rows, problem.packed()) for each in (packed, generic))
    assert difference(first, second.loss, second.dense, second.rows) < 1e-10
    assert second.dense["step_sizes.MAML.logs"].abs().min() > 0


@pytest.mark.parametrize("generic", [False, True])
def test_reptile_moves_towards_where_the_tasks_end(tools: Any, generic: bool) -> None:
    problem, model = problem_and_model(tools, **PARTS)
    # the projection is no adaptive layer, so the tasks go one by one
    adapt = {"dense": ["top.*", "wide.*"] if generic else ["top.*"], "rows": ["single0"]}
    meta = MetaSpec(algorithm="Reptile", inner={"steps": 3, "rate": RATE, "shrinkage": 0}, adapt=adapt)
    got = build_algorithm(meta, model, problem.inputs.features).gradients(model, problem.rows, problem.packed())
    names = [n for n, _ in model.named_parameters() if n.startswith(("top.", "wide.") if generic else "top.")]
    moved, by_row, loss = reptile(model, problem, names)
    zeros = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    assert got.weight == len(SIZES)
    assert difference(got, loss, zeros | moved, by_row) < 1e-10
    assert by_row[:3].abs().max() > 0
    assert not by_row[3:].any()


def reptile(model: Any, problem: Any, names: Sequence[str]) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Sum over tasks of phi - phi_t, each after three steps on the mean loss of all its samples."""
    start = dict(model.named_parameters())
    moved = {name: torch.zeros_like(start[name]) for name in names}
    by_row, after = torch.zeros_like(problem.rows), problem.rows.new_zeros(())
    for task in problem.tasks:
        samples = task.support + task.query
        own, rows = dict(start), problem.rows.clone().requires_grad_()
        for _ in range(3):
            loss = summed_loss(model, own, rows, problem, samples) / len(samples)
            *dense, by = torch.autograd.grad(loss, [*(own[n] for n in names), rows], materialize_grads=True)
            by[3:] = 0  # only the first table's rows adapt
            own |= {n: (own[n] - RATE * g).detach().requires_grad_() for n, g in zip(names, dense, strict=True)}
            rows = (rows - RATE * by).detach().requires_grad_()
        moved = {name: moved[name] + (start[name] - own[name]).detach() for name in names}
        by_row += (problem.rows - rows).detach()
        after += (summed_loss(model, own, rows, problem, samples) / len(samples)).detach()
    return moved, by_row, after


def test_an_algorithm_without_its_part_of_the_model_is_refused(tools: Any) -> None:
    problem, model = problem_and_model(tools)
    with pytest.raises(ModelError) as refused:
        build_algorithm(MetaSpec(algorithm="CAVIA"), model, problem.inputs.features)
    assert str(refused.value) == (
        "spec.meta.algorithm: CAVIA adapts the model's context, and DLRM has none; name what adapts in "
        "spec.meta.adapt, or use a model with one (docs/models.md)"
    )
