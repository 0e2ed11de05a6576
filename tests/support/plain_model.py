"""A model of one's own whose layers are not adaptive ones, so that tasks adapt one by one."""

import torch
from torch import Tensor, nn

from gmeta_worker.models import FeatureRows, Features, ModelInputs


class Plain(nn.Module):
    """One hidden layer with a normalisation."""

    def __init__(self, inputs: ModelInputs) -> None:
        super().__init__()
        width = len(inputs.numeric) + len(inputs.features) * inputs.dim
        self.hidden, self.norm, self.out = nn.Linear(width, 6), nn.LayerNorm(6), nn.Linear(6, 1)

    def forward(self, features: Features, rows: FeatureRows) -> Tensor:
        """Logits [n]."""
        x = torch.cat([features.numeric, rows.stacked.flatten(1)], 1)
        logits: Tensor = self.out(self.norm(self.hidden(x)).tanh())
        return logits.squeeze(-1)
