"""Does a model keep the contract? Found out before training by two samples, not in the middle of an epoch."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from gmeta_api.errors import ModelError
from gmeta_worker.models.contract import FeatureRows, Features, ModelInputs


def check_model(model: nn.Module, inputs: ModelInputs, type_name: str) -> None:
    """Refuse a model that the meta step could not train correctly.

    Raises:
        ModelError: the model has no parameters, a layer that mixes tasks or draws unseeded numbers, or a wrong output.
    """
    if not any(True for _ in model.parameters()):
        raise ModelError(f"{type_name}: the model has no parameters, so there is nothing to train")
    for name, module in model.named_modules():
        _check_layer(type_name, name, module)
    _check_output(model, inputs, type_name)


def _check_layer(type_name: str, name: str, module: nn.Module) -> None:
    layer = f"{type_name}: layer '{name}' is a {type(module).__name__}"
    if isinstance(module, _BatchNorm):
        raise ModelError(
            f"{layer}, whose statistics mix the samples of different tasks and of support and query; use LayerNorm"
        )
    if isinstance(module, _DropoutNd):
        raise ModelError(
            f"{layer}, whose mask is not seeded by task, so a run could not be repeated on another number of workers; "
            "use gmeta_worker.layers.Dropout"
        )


def _check_output(model: nn.Module, inputs: ModelInputs, type_name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    numeric = torch.rand(2, len(inputs.numeric), generator=generator)
    stacked = torch.rand(2, len(inputs.features), inputs.dim, generator=generator)
    with torch.no_grad():
        both = _try_forward(model, inputs, type_name, numeric, stacked)
        alone = _try_forward(model, inputs, type_name, numeric[:1], stacked[:1])
    if not torch.allclose(both[:1], alone, rtol=1e-3, atol=1e-4):
        raise ModelError(
            f"{type_name}: the output for a sample changed when another sample joined it ({_first(alone):.4g}, then "
            f"{_first(both):.4g}); a model must treat samples one by one and draw no random numbers, because the "
            "samples of many tasks pass through it together"
        )


def _first(logits: Tensor) -> float:
    return float(logits.flatten()[0])


def _try_forward(model: nn.Module, inputs: ModelInputs, type_name: str, numeric: Tensor, stacked: Tensor) -> Tensor:
    try:
        logits = model(Features(numeric), FeatureRows(inputs.features, stacked))
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"{type_name}: forward raised {type(error).__name__} on a dry run: {error}") from error
    return _checked_shape(logits, len(stacked), inputs.labels, type_name)


def _checked_shape(logits: object, samples: int, labels: Sequence[str], type_name: str) -> Tensor:
    if not isinstance(logits, Tensor):
        raise ModelError(f"{type_name}: forward must return a tensor of logits, received a {type(logits).__name__}")
    expected = (samples,) if len(labels) == 1 else (samples, len(labels))
    if logits.shape != expected or not logits.is_floating_point():
        raise ModelError(
            f"{type_name}: forward must return one floating-point logit a sample{_for_each(labels)}, shape "
            f"{list(expected)}, received shape {list(logits.shape)} of {logits.dtype}"
            + ("; squeeze the last dimension" if logits.shape == (*expected, 1) else "")
        )
    return logits


def _for_each(labels: Sequence[str]) -> str:
    return "" if len(labels) == 1 else f" for each of the labels {', '.join(labels)}"
