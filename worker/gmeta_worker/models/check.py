"""Does a model keep the contract? Found out before training by two samples, not in the middle of an epoch."""

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
            f"{type_name}: the output for a sample changed when another sample joined it ({float(alone[0]):.4g}, then "
            f"{float(both[0]):.4g}); a model must treat samples one by one and draw no random numbers, because the "
            "samples of many tasks pass through it together"
        )


def _try_forward(model: nn.Module, inputs: ModelInputs, type_name: str, numeric: Tensor, stacked: Tensor) -> Tensor:
    try:
        logits = model(Features(numeric), FeatureRows(inputs.features, stacked))
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"{type_name}: forward raised {type(error).__name__} on a dry run: {error}") from error
    return _checked_shape(logits, len(stacked), type_name)


def _checked_shape(logits: object, samples: int, type_name: str) -> Tensor:
    if not isinstance(logits, Tensor):
        raise ModelError(f"{type_name}: forward must return a tensor of logits, received a {type(logits).__name__}")
    if logits.shape != (samples,) or not logits.is_floating_point():
        raise ModelError(
            f"{type_name}: forward must return one floating-point logit a sample, shape [{samples}], received shape "
            f"{list(logits.shape)} of {logits.dtype}" + ("; squeeze the last dimension" if logits.dim() == 2 else "")
        )
    return logits
