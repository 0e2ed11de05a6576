"""What the inner loop adapts: the manifest's patterns, resolved against a model and its embedding tables."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from gmeta_api.errors import ModelError
from gmeta_api.spec import AdaptSpec
from gmeta_worker.layers import AdaptiveLayer
from gmeta_worker.meta.step_size import StepSizes


@dataclass(frozen=True)
class Targets:
    """What adapts.

    Attributes:
        layers: the modules whose parameters adapt, and the names of these layers.
        parameters: the names of those parameters, and the layer that each belongs to.
        plain: names of the layers among them that are not adaptive layers; if there is one, tasks must go one by one.
        tables: bool[tables], whether the rows of a table adapt.
        row_groups: numbers of those tables, and the names that their rows go by as a group.
    """

    layers: Mapping[nn.Module, str]
    parameters: Mapping[str, str]
    plain: tuple[str, ...]
    tables: Tensor
    row_groups: Mapping[int, str]

    @property
    def groups(self) -> tuple[str, ...]:
        """What may have a step size of its own: layers, then the rows of tables."""
        return (*dict.fromkeys(self.parameters.values()), *self.row_groups.values())

    @property
    def packed(self) -> Mapping[AdaptiveLayer, str]:
        """The layers that all tasks adapt at once, and their names."""
        return {layer: name for layer, name in self.layers.items() if isinstance(layer, AdaptiveLayer)}

    @property
    def empty(self) -> bool:
        """Nothing adapts."""
        return not self.parameters and not bool(self.tables.any())


def find_targets(adapt: AdaptSpec, model: nn.Module, table_names: Sequence[str]) -> Targets:
    """Resolve the patterns.

    A layer is a module that owns parameters and goes by its path (`top.0`); a parameter of the model itself goes by its
    own name.

    Raises:
        ModelError: a pattern matches nothing.
    """
    layers = _layers(model)
    chosen = _matching("spec.meta.adapt.dense", adapt.dense, list(layers), "layer of the model")
    rows = _matching("spec.meta.adapt.rows", adapt.rows, table_names, "vocabulary")
    layer_of = {parameter: name for name in chosen for parameter in layers[name].parameters}
    tied = _tied(model)
    return Targets(
        layers={layers[name].owner: name for name in chosen},
        parameters={name: layer_of[each] for name, each in model.named_parameters() if each in layer_of},
        plain=tuple(name for name in chosen if not _is_packable(layers[name].owner, tied)),
        tables=torch.tensor([name in rows for name in table_names], dtype=torch.bool),
        row_groups={number: f"rows/{name}" for number, name in enumerate(table_names) if name in rows},
    )


@dataclass(frozen=True)
class _Layer:
    owner: nn.Module
    parameters: tuple[nn.Parameter, ...]


def _layers(model: nn.Module) -> Mapping[str, _Layer]:
    layers: dict[str, _Layer] = {}
    for path, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if isinstance(module, StepSizes):
            continue
        if path and own:
            layers[path] = _Layer(module, tuple(own.values()))
        elif not path:
            layers.update({name: _Layer(module, (parameter,)) for name, parameter in own.items()})
    return layers


def _is_packable(owner: nn.Module, tied: Collection[nn.Module]) -> bool:
    return isinstance(owner, AdaptiveLayer) and owner not in tied


def _tied(model: nn.Module) -> frozenset[nn.Module]:
    """Modules that share a parameter with another one; a low-rank step of one would miss the other."""
    owners: defaultdict[nn.Parameter, list[nn.Module]] = defaultdict(list)
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners[parameter].append(module)
    return frozenset(module for sharing in owners.values() if len(sharing) > 1 for module in sharing)


def _matching(path: str, patterns: Sequence[str], names: Sequence[str], kind: str) -> list[str]:
    for number, pattern in enumerate(patterns):
        if not any(fnmatchcase(name, pattern) for name in names):
            known = ", ".join(names) or "none"
            raise ModelError(f"{path}[{number}]: '{pattern}' matches no {kind}; the names are {known}")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
