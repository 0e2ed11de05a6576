"""The built-in models against their papers' formulas, written out sample by sample."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from gmeta_api.errors import ModelError
from gmeta_api.spec import ModelSpec
from gmeta_worker.models import FeatureRows, Features, ModelInputs, build_model

DIM, SAMPLES = 3, 4
INPUTS = ModelInputs(numeric=("price", "rate"), features=("user", "item"), dim=DIM, labels=("click",))
PARTS = {"bias": True, "context": True, "wide": 5, "wide_features": ["item"]}


def inputs() -> tuple[Features, FeatureRows]:
    draw = torch.Generator().manual_seed(0)
    numeric = torch.randn(SAMPLES, 2, generator=draw)
    return Features(numeric), FeatureRows(INPUTS.features, torch.randn(SAMPLES, 2, DIM, generator=draw))


def model_of(type_name: str, labels: tuple[str, ...] = ("click",), **fields: Any) -> Any:
    model = build_model(ModelSpec(type=type_name, top=[6, 4], **fields), replace(INPUTS, labels=labels), seed=0)
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):  # nothing may hide behind a zero
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))
    return model


def deep(model: Any, x: Tensor) -> Tensor:
    """The top MLP of one sample."""
    for layer in (model.top[0], model.top[1]):
        x = (layer.weight @ x + layer.bias).clamp(min=0)
    out: Tensor = model.top[2].weight @ x + model.top[2].bias
    return out[0]


def by_hand(type_name: str, model: Any, numeric: Tensor, vectors: list[Tensor]) -> Tensor:
    x = torch.cat([numeric, *vectors])
    if type_name == "DCN":
        first = x
        for layer in model.cross:
            x = first * (layer.weight @ x + layer.bias) + x
        return deep(model, x)
    if type_name == "LiMAML":
        h = (model.meta_block[0].weight @ x + model.meta_block[0].bias).clamp(min=0)
        return deep(model, torch.cat([x, model.meta_block[1].weight @ h + model.meta_block[1].bias]))
    logit = deep(model, x)
    if type_name in ("WideDeep", "DeepFM"):
        logit = logit + (model.linear.weight @ x + model.linear.bias)[0]
    if type_name == "DeepFM":
        pairs = [a @ b for i, a in enumerate(vectors) for b in vectors[i + 1 :]]
        logit = logit + torch.stack(pairs).sum()
    return logit


@pytest.mark.parametrize("parts", [{}, PARTS], ids=["plain", "with parts"])
@pytest.mark.parametrize("type_name", ["MeLU", "WideDeep", "DeepFM", "DCN", "LiMAML"])
def test_the_logit_is_that_of_the_formula(type_name: str, parts: Any) -> None:
    model = model_of(type_name, adaptive=parts, offset=["rate"] if parts else [])
    features, rows = inputs()
    expected = []
    for numeric, stacked in zip(features.numeric, rows.stacked, strict=True):
        vectors = list(stacked)
        extra = torch.zeros(())
        if parts:
            vectors.append(model.context.bias)
            hidden = model.wide.projection.weight @ stacked[1] + model.wide.projection.bias
            extra = model.bias.bias[0] + (model.wide.head.weight @ hidden)[0] + numeric[1]
        expected.append(by_hand(type_name, model, numeric, vectors) + extra)
    torch.testing.assert_close(model(features, rows), torch.stack(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("type_name", ["DLRM", "MeLU", "WideDeep", "DeepFM", "DCN", "LiMAML"])
def test_labels_share_everything_but_the_last_layers(type_name: str) -> None:
    """With the weights of a label's outputs, a model of that label alone gives its logits."""
    model = model_of(type_name, ("click", "order"), adaptive=PARTS, offset=["rate"])
    logits = model(*inputs())
    assert logits.shape == (SAMPLES, 2)
    state = model.state_dict()
    last = ("top.2.weight", "top.2.bias", "linear.weight", "linear.bias", "bias.bias", "wide.head.weight")
    for number in range(2):
        alone = model_of(type_name, adaptive=PARTS, offset=["rate"])
        alone.load_state_dict({n: w[number : number + 1] if n in last else w for n, w in state.items()})
        torch.testing.assert_close(logits[:, number], alone(*inputs()), rtol=1e-5, atol=1e-6)
    assert (logits[:, 0] - logits[:, 1]).abs().min() > 1e-3


def test_parts_are_what_adapts_as_context_and_start_at_zero() -> None:
    with_parts = build_model(ModelSpec(type="MeLU", adaptive=PARTS), INPUTS, seed=0)
    assert with_parts.roles == {"context": ["bias", "context", "wide.head"], "head": ("top.*",)}
    assert not any(with_parts.get_parameter(name).any() for name in ("bias.bias", "context.bias", "wide.head.weight"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"offset": ["price", "item"]},
            "spec.model.offset[1]: 'item' is not a numeric feature of the dataset; they are price, rate",
        ),
        (
            {"adaptive": {"wide": 2, "wide_features": ["shop"]}},
            "spec.model.adaptive.wideFeatures[0]: 'shop' is not a feature of the dataset; they are user, item",
        ),
    ],
)
def test_names_of_features_must_be_the_datasets(fields: Any, message: str) -> None:
    with pytest.raises(ModelError) as refused:
        build_model(ModelSpec(**fields), INPUTS, seed=0)
    assert str(refused.value) == message
