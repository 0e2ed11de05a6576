"""Classes of the user's own, named in a manifest as package.module:Class."""

import importlib
import inspect
from collections.abc import Mapping

from gmeta_api.errors import ModelError


def load_class(path: str, field: str) -> type[object]:
    """Import the class that `field` of the manifest names as `path`.

    Raises:
        ModelError: there is no such module or class, or importing it raised.
    """
    module_name, _, class_name = path.partition(":")
    found = getattr(_load_module(module_name, path, field), class_name, None)
    if found is None:
        raise ModelError(f"{field}: module '{module_name}' has no attribute '{class_name}' (from '{path}')")
    if not inspect.isclass(found):
        raise ModelError(f"{field}: expected '{path}' to be a class, received an object of type {type(found).__name__}")
    return found


def build(found: type[object], path: str, first: object, name: str, args: Mapping[str, object], field: str) -> object:
    """Call `found(first, **args)`.

    Args:
        found: the class.
        path: as the manifest names it.
        first: its first argument.
        name: of the first argument, for messages.
        args: its keyword arguments.
        field: of the manifest that holds `args`.

    Raises:
        ModelError: the call raised.
    """
    try:
        return found(first, **args)  # type: ignore[call-arg]  # known only when it is called
    except Exception as error:
        given = ", ".join([name, *(f"{key}={value!r}" for key, value in args.items())])
        raise ModelError(
            f"{field}: {path} was called as {found.__name__}({given}) and raised {type(error).__name__}: {error}; its "
            f"signature is {found.__name__}{inspect.signature(found)}"
        ) from error


def _load_module(name: str, path: str, field: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise ModelError(
                f"{field}: no module named '{error.name}' (from '{path}'); put it on PYTHONPATH"
            ) from error
        raise _import_failure(path, field, error) from error
    except Exception as error:
        raise _import_failure(path, field, error) from error


def _import_failure(path: str, field: str, error: Exception) -> ModelError:
    return ModelError(f"{field}: importing '{path}' raised {type(error).__name__}: {error}")
