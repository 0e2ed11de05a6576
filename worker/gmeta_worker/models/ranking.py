"""What the built-in models share: the parts that tasks adapt, the offset, and the names of what adapts."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gmeta_api.errors import ModelError
from gmeta_api.spec import ModelSpec
from gmeta_worker.layers import AdaptiveBias, ContextVector, WideHead
from gmeta_worker.models.contract import FeatureRows, Features, ModelInputs

CONTEXT = "context"


class RankingModel(nn.Module):
    """Base of the built-in models: logits = `core` + bias + wide head + offset, one a label.

    The offset is the same for all labels. The context vector joins the features' rows as one more row, so every core
    takes it in as it takes in a feature.

    Args:
        spec: the manifest's model.
        inputs: what the dataset offers.

    Attributes:
        outputs: L, the number of labels.
        roles: names of layers by what algorithms call them: `head`, `context`, `meta block`; absent where the model
            has none.
    """

    roles: Mapping[str, Sequence[str]]

    def __init__(self, spec: ModelSpec, inputs: ModelInputs) -> None:
        super().__init__()
        parts = spec.adaptive
        self.outputs = len(inputs.labels)
        self.bias = AdaptiveBias(self.outputs) if parts.bias else None
        self.context = ContextVector(inputs.dim) if parts.context else None
        self._projected = [
            _place(inputs.features, "feature", f"adaptive.wideFeatures[{number}]", name)
            for number, name in enumerate(parts.wide_features)
        ] or list(range(len(inputs.features)))
        self.wide = WideHead(len(self._projected) * inputs.dim, parts.wide, self.outputs) if parts.wide else None
        self._offsets = [
            _place(inputs.numeric, "numeric feature", f"offset[{number}]", name)
            for number, name in enumerate(spec.offset)
        ]
        offered = {"bias": self.bias, CONTEXT: self.context, "wide.head": self.wide}
        adaptive = [name for name, part in offered.items() if part is not None]
        self.roles = {CONTEXT: adaptive} if adaptive else {}

    def forward(self, features: Features, rows: FeatureRows) -> Tensor:
        """Logits [n] for one label, else [n, L]."""
        logits = self.core(features, rows if self.context is None else _joined(rows, self.context(rows.stacked)))
        if self.bias is not None:
            logits = self.bias(logits.reshape(-1, self.outputs)).view_as(logits)
        if self.wide is not None:
            logits = logits + self.wide(rows.stacked[:, self._projected].flatten(1))
        return plus(logits, features.numeric[:, self._offsets].sum(1)) if self._offsets else logits

    def core(self, features: Features, rows: FeatureRows) -> Tensor:
        """The model proper: logits [n] or [n, L]; `rows` include the context vector where there is one."""
        raise NotImplementedError

    @property
    def vectors(self) -> int:
        """Rows beside the features' that `core` gets: 1 with a context vector."""
        return 0 if self.context is None else 1


def flat(features: Features, rows: FeatureRows) -> Tensor:
    """All inputs side by side, [n, D + F * dim]."""
    return torch.cat([features.numeric, rows.stacked.flatten(1)], 1)


def plus(logits: Tensor, term: Tensor) -> Tensor:
    """Logits [n] or [n, L] with a term [n] that is the same for all labels."""
    return logits + (term if logits.dim() == 1 else term.unsqueeze(1))


def _joined(rows: FeatureRows, context: Tensor) -> FeatureRows:
    return FeatureRows((*rows.names, CONTEXT), torch.cat([rows.stacked, context.unsqueeze(1)], 1))


def _place(known: Sequence[str], kind: str, field: str, name: str) -> int:
    """Which of the known names `name` is."""
    if name not in known:
        listed = ", ".join(known) or "none"
        raise ModelError(f"spec.model.{field}: '{name}' is not a {kind} of the dataset; they are {listed}")
    return known.index(name)
