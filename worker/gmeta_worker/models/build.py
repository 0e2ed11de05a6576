"""From the manifest's model section to a module: built-in by name, or a class of the user's own."""

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import nn

from gmeta_api.errors import ModelError
from gmeta_api.spec import ModelSpec
from gmeta_worker.models.check import check_model
from gmeta_worker.models.contract import ModelInputs
from gmeta_worker.models.deep import DCN, DeepFM, LiMAML, MeLU, WideDeep
from gmeta_worker.models.dlrm import DLRM
from gmeta_worker.models.multi import DTN, PLE, MMoE
from gmeta_worker.plugin import build, load_class

BUILT_IN: Mapping[str, Callable[[ModelSpec, ModelInputs], nn.Module]] = {
    model.__name__: model for model in (DLRM, DeepFM, DCN, WideDeep, MeLU, LiMAML, MMoE, PLE, DTN)
}


def build_model(spec: ModelSpec, inputs: ModelInputs, seed: int) -> nn.Module:
    """Build and check the model; its initial parameters depend on `seed` only.

    A class of the user's own is called as `Class(inputs, **spec.args)`. The inputs are kept as the model's `inputs`.

    Raises:
        ModelError: the class cannot be imported or built, or it breaks the model contract.
    """
    if spec.type in BUILT_IN and spec.args:
        raise ModelError(
            f"spec.model.args: {spec.type} takes none, received {', '.join(sorted(spec.args))}; "
            "use the other fields of spec.model, or a class of your own"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BUILT_IN[spec.type](spec, inputs) if spec.type in BUILT_IN else _build_custom(spec, inputs)
    model.inputs = inputs  # type: ignore[assignment]  # nn.Module declares tensors and modules only
    check_model(model, inputs, spec.type)
    return model


def _build_custom(spec: ModelSpec, inputs: ModelInputs) -> nn.Module:
    found = load_class(spec.type, "spec.model.type")
    if not issubclass(found, nn.Module):
        raise ModelError(
            f"spec.model.type: expected '{spec.type}' to be a subclass of torch.nn.Module, received class "
            f"{found.__name__}"
        )
    return cast("nn.Module", build(found, spec.type, inputs, "inputs", spec.args, "spec.model.args"))
