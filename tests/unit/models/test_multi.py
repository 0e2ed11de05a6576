"""The models of several labels against their formulas, written out sample by sample and label by label."""

from typing import Any

import pytest
import torch
from torch import Tensor

from gmeta_api.spec import MetaSpec, ModelSpec
from gmeta_worker.layers.adaptive import AdaptiveLayer
from gmeta_worker.meta import build_algorithm
from gmeta_worker.models import FeatureRows, Features, ModelInputs, build_model

DIM, SAMPLES, SIZE = 3, 4, 5
LABELS = ("click", "order", "like")
SHARED, OWN = 3, 2


def model_of(type_name: str, labels: tuple[str, ...] = LABELS) -> Any:
    inputs = ModelInputs(numeric=("price",), features=("user", "item"), dim=DIM, labels=labels)
    spec = ModelSpec(type=type_name, top=[4], experts=SHARED, own_experts=OWN, expert_size=SIZE, cross_layers=2)
    return build_model(spec, inputs, seed=0)


def inputs() -> tuple[Features, FeatureRows]:
    draw = torch.Generator().manual_seed(0)
    rows = FeatureRows(("user", "item"), torch.randn(SAMPLES, 2, DIM, generator=draw))
    return Features(torch.randn(SAMPLES, 1, generator=draw)), rows


def linear(layer: Any, x: Tensor) -> Tensor:
    out: Tensor = layer.weight @ x
    return out if layer.bias is None else out + layer.bias


def relu(layer: Any, x: Tensor) -> Tensor:
    return linear(layer, x).clamp(min=0)


def mixture(model: Any, x: Tensor, label: int, choices: list[Tensor]) -> Tensor:
    own = model.gates.linear.weight[label * len(choices) : (label + 1) * len(choices)]
    raised = (own @ x).exp()
    return torch.stack([share * choice for share, choice in zip(raised / raised.sum(), choices, strict=True)]).sum(0)


def tower(model: Any, label: int, x: Tensor) -> Tensor:
    return linear(model.towers[label][1], relu(model.towers[label][0], x))[0]


def by_hand(type_name: str, model: Any, x: Tensor) -> list[Tensor]:
    experts = list(relu(model.experts.linear, x).split(SIZE))
    if type_name != "DTN":
        own = OWN if type_name == "PLE" else 0
        seen = [experts[:SHARED] + experts[SHARED + own * k : SHARED + own * (k + 1)] for k in range(len(LABELS))]
        return [tower(model, k, mixture(model, x, k, seen[k])) for k in range(len(LABELS))]
    logits: list[Tensor] = []
    before: Tensor | None = None
    for k in range(len(LABELS)):
        crossed = x
        for cross, gate in zip(model.crosses[k].cross, model.crosses[k].gate, strict=True):
            crossed = crossed + x * linear(cross, crossed) / (1 + (-linear(gate, crossed)).exp())
        mask = linear(model.masks[k].mask[1], relu(model.masks[k].mask[0], x))
        found = [relu(model.crosses[k].out, crossed), relu(model.masks[k].out, mask * x)]
        own_vector = mixture(model, x, k, experts + found)
        given = own_vector if before is None else torch.cat([own_vector, relu(model.passed[k - 1], before)])
        logits.append(tower(model, k, given))
        before = own_vector
    return logits


@pytest.mark.parametrize("type_name", ["MMoE", "PLE", "DTN"])
def test_the_logits_are_those_of_the_formula(type_name: str) -> None:
    model = model_of(type_name)
    features, rows = inputs()
    expected = [
        torch.stack(by_hand(type_name, model, torch.cat([numeric, *stacked])))
        for numeric, stacked in zip(features.numeric, rows.stacked, strict=True)
    ]
    torch.testing.assert_close(model(features, rows), torch.stack(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("type_name", ["MMoE", "PLE", "DTN"])
def test_one_label_is_a_model_too(type_name: str) -> None:
    assert model_of(type_name, ("click",))(*inputs()).shape == (SAMPLES,)


def test_a_label_does_not_reach_the_experts_of_another() -> None:
    model = model_of("PLE")
    model(*inputs())[:, 1].sum().backward()
    touched = model.experts.linear.weight.grad.view(-1, SIZE, model.width).abs().sum((1, 2)) > 0
    first = SHARED + OWN
    assert touched[:SHARED].all()
    assert touched[SHARED:].nonzero().squeeze(1).tolist() == [*range(first - SHARED, first - SHARED + OWN)]


def test_orders_learn_from_clicks_and_not_the_other_way_round() -> None:
    model = model_of("DTN")
    logits = model(*inputs())
    own = model.crosses[0].out.weight
    assert torch.autograd.grad(logits[:, 1].sum(), own, retain_graph=True)[0].any()
    (back,) = torch.autograd.grad(logits[:, 0].sum(), model.crosses[1].out.weight, allow_unused=True)
    assert back is None or not back.any()


@pytest.mark.parametrize("type_name", ["MMoE", "PLE", "DTN"])
def test_tasks_adapt_all_of_it_in_the_packed_path(type_name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    model = model_of(type_name)
    assert all(isinstance(m, AdaptiveLayer) for m in model.modules() if list(m.parameters(recurse=False)))
    build_algorithm(MetaSpec(), model, ["user", "item"])
    build_algorithm(MetaSpec(algorithm="ANIL"), model, ["user", "item"])
    assert not caplog.records
