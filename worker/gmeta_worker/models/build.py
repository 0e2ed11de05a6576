"""From the manifest's model section to a module: built-in by name, or a class of the user's own."""

import importlib
import inspect
from collections.abc import Callable, Mapping

import torch
from torch import nn

from gmeta_api.errors import ModelError
from gmeta_api.spec import ModelSpec
from gmeta_worker.models.check import check_model
from gmeta_worker.models.contract import ModelInputs
from gmeta_worker.models.dlrm import DLRM

BUILT_IN: Mapping[str, Callable[[ModelSpec, ModelInputs], nn.Module]] = {
    "DLRM": lambda spec, inputs: DLRM(inputs, bottom=spec.bottom, top=spec.top),
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
            "use spec.model.bottom and spec.model.top, or a class of your own"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BUILT_IN[spec.type](spec, inputs) if spec.type in BUILT_IN else _build_custom(spec, inputs)
    model.inputs = inputs  # type: ignore[assignment]  # nn.Module declares tensors and modules only
    check_model(model, inputs, spec.type)
    return model


def _build_custom(spec: ModelSpec, inputs: ModelInputs) -> nn.Module:
    model_class = _load_class(spec.type)
    try:
        return model_class(inputs, **spec.args)
    except Exception as error:
        given = ", ".join(["inputs", *(f"{name}={value!r}" for name, value in spec.args.items())])
        raise ModelError(
            f"spec.model.args: {spec.type} was called as {model_class.__name__}({given}) and raised "
            f"{type(error).__name__}: {error}; its signature is {model_class.__name__}{_signature(model_class)}"
        ) from error


def _load_class(path: str) -> type[nn.Module]:
    module_name, _, class_name = path.partition(":")
    found = getattr(_load_module(module_name, path), class_name, None)
    if found is None:
        raise ModelError(f"spec.model.type: module '{module_name}' has no attribute '{class_name}' (from '{path}')")
    if not (inspect.isclass(found) and issubclass(found, nn.Module)):
        kind = f"class {found.__name__}" if inspect.isclass(found) else f"an object of type {type(found).__name__}"
        raise ModelError(f"spec.model.type: expected '{path}' to be a subclass of torch.nn.Module, received {kind}")
    return found


def _load_module(name: str, path: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise ModelError(
                f"spec.model.type: no module named '{error.name}' (from '{path}'); put it on PYTHONPATH"
            ) from error
        raise _import_failure(path, error) from error
    except Exception as error:
        raise _import_failure(path, error) from error


def _import_failure(path: str, error: Exception) -> ModelError:
    return ModelError(f"spec.model.type: importing '{path}' raised {type(error).__name__}: {error}")


def _signature(model_class: type[nn.Module]) -> str:
    return str(inspect.signature(model_class))
