"""The search space in Optuna's terms, and back."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import JsonValue

from gmeta_api.settings import value_at
from gmeta_worker.sweep.spec import ParameterSpec


def distributions(space: Iterable[ParameterSpec]) -> dict[str, BaseDistribution]:
    """Optuna's distribution of each parameter, by path."""
    return {parameter.path: distribution(parameter) for parameter in space}


def distribution(parameter: ParameterSpec) -> BaseDistribution:
    """Optuna's distribution of a parameter; choices are JSON texts, since Optuna's are scalars."""
    if parameter.choices is not None:
        return CategoricalDistribution([json.dumps(choice) for choice in parameter.choices])
    assert parameter.low is not None, "a rule of the manifest"
    assert parameter.high is not None, "a rule of the manifest"
    if parameter.type == "int":
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)


def job_values(space: Iterable[ParameterSpec], params: Mapping[str, Any]) -> dict[str, JsonValue]:
    """The values of the job's fields for the parameters of one of Optuna's trials."""
    return {
        parameter.path: params[parameter.path] if parameter.choices is None else json.loads(params[parameter.path])
        for parameter in space
    }


def params_of(space: Iterable[ParameterSpec], job: Mapping[str, Any]) -> dict[str, Any]:
    """Optuna's parameters for a job's own values; those that lie outside of the space are left out."""
    own = ((parameter, value_at(job, parameter.path)) for parameter in space)
    return {
        parameter.path: value if parameter.choices is None else json.dumps(value)
        for parameter, value in own
        if _holds(parameter, value)
    }


def _holds(parameter: ParameterSpec, value: JsonValue) -> bool:
    if parameter.choices is not None:
        return value in parameter.choices
    assert parameter.low is not None, "a rule of the manifest"
    assert parameter.high is not None, "a rule of the manifest"
    return isinstance(value, (int, float)) and parameter.low <= value <= parameter.high


def ends(parameter: ParameterSpec) -> tuple[JsonValue, ...]:
    """The values that a job has to be valid with: the least and the greatest, or all choices."""
    if parameter.choices is not None:
        return parameter.choices
    bounds = (parameter.low, parameter.high)
    return tuple(int(bound) for bound in bounds if bound is not None) if parameter.type == "int" else bounds


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """Each path's shortest end of whole parts that no other path has too."""
    return {path: _short(path, [other for other in paths if other != path]) for path in paths}


def settings_line(params: Mapping[str, JsonValue]) -> str:
    """Settings for people, in one line."""
    names = short_names(list(params))
    return " ".join(f"{names[path]}={shown(value)}" for path, value in params.items())


def shown(value: JsonValue) -> str:
    """A setting for people: numbers with four digits, texts as they are, the rest as JSON."""
    if isinstance(value, str):
        return value
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


def _short(path: str, others: Sequence[str]) -> str:
    parts = path.split(".")
    for count in range(1, len(parts)):
        end = ".".join(parts[-count:])
        if not any(other.endswith(f".{end}") for other in others):
            return end
    return path
