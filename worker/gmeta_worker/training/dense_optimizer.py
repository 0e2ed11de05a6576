"""The optimiser of the replicated dense weights: torch's own, fed with the step's gradients."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from gmeta_api.errors import CheckpointError
from gmeta_api.spec import DenseOptimizerSpec

_TYPES: dict[str, type[torch.optim.Optimizer]] = {
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
    "Adagrad": torch.optim.Adagrad,
    "SGD": torch.optim.SGD,
}
_STATES: dict[str, frozenset[str]] = {
    "Adam": frozenset({"step", "exp_avg", "exp_avg_sq"}),
    "AdamW": frozenset({"step", "exp_avg", "exp_avg_sq"}),
    "Adagrad": frozenset({"step", "sum"}),
    "SGD": frozenset(),
}


class DenseOptimizer:
    """One step on the mean gradients; state as named tensors, so that a commit needs no pickle.

    The gradients come from `torch.autograd.grad`, summed over ranks: no DDP, whose hooks they would miss.
    """

    def __init__(self, spec: DenseOptimizerSpec, model: nn.Module) -> None:
        self._parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._type = spec.type
        self._clip_norm = spec.clip_norm
        self._optimizer = _TYPES[spec.type](
            list(self._parameters.values()), lr=spec.rate, weight_decay=spec.weight_decay
        )  # type: ignore[call-arg]  # the base class does not declare what all four take

    def step(self, gradients: Mapping[str, Tensor], rate: float) -> None:
        """Apply `gradients`, one a trainable parameter, clipped to the global norm, at learning rate `rate`."""
        for name, parameter in self._parameters.items():
            parameter.grad = gradients[name]
        if self._clip_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters.values(), self._clip_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def export(self) -> dict[str, Tensor]:
        """State tensors under `<parameter>/<state>`."""
        return {
            f"{name}/{key}": value
            for name, parameter in self._parameters.items()
            for key, value in self._optimizer.state[parameter].items()
            if isinstance(value, Tensor)
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `export` gave.

        Raises:
            CheckpointError: a state names a parameter that the model does not have, has another shape, or belongs to
                another type of optimiser.
        """
        for key, value in tensors.items():
            self._require_known(key, value)
        self._require_own_type(tensors)
        for key, value in tensors.items():
            name, _, state = key.rpartition("/")
            self._optimizer.state[self._parameters[name]][state] = value.clone()

    def _require_known(self, key: str, value: Tensor) -> None:
        parameter = self._parameters.get(key.rpartition("/")[0])
        if parameter is None or value.shape not in (parameter.shape, torch.Size([])):
            expected = "no such parameter" if parameter is None else f"shape {list(parameter.shape)}"
            raise CheckpointError(
                f"optimiser state {key}: this model has {expected}, the commit has shape {list(value.shape)}; "
                "resume with the manifest that wrote the commit"
            )

    def _require_own_type(self, tensors: Mapping[str, Tensor]) -> None:
        expected = _STATES[self._type]
        for name in self._parameters:
            found = {key.removeprefix(f"{name}/") for key in tensors if key.rpartition("/")[0] == name}
            if found != expected:
                raise CheckpointError(
                    f"optimiser state of {name}: {self._type} has {_listed(expected)}, the commit has "
                    f"{_listed(found)}; use the spec.optimizer.dense.type that wrote the commit"
                )


def _listed(states: Iterable[str]) -> str:
    return ", ".join(sorted(states)) or "none"
