"""A model of one's own: two towers, one over the user's features and one over the item's, and a bias a task.

In the manifest, with this file on PYTHONPATH:

    model:
      type: custom_model:TwoTower
      args: {user: [age, occupation], item: [movie, genres], width: 16}
    meta:
      adapt: {dense: [user_tower.*, bias]}

Because it is built from gmeta_worker.layers, the inner loop adapts it for all tasks at once.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gmeta_worker.layers import MLP, AdaptiveBias
from gmeta_worker.models import FeatureRows, Features, ModelInputs


class TwoTower(nn.Module):
    """The dot product of a user vector and an item vector.

    Args:
        inputs: what the dataset offers; G-Meta passes it.
        user: features of the user tower, which also sees the numeric columns.
        item: features of the item tower.
        width: of both vectors.
    """

    def __init__(self, inputs: ModelInputs, user: Sequence[str], item: Sequence[str], width: int = 16) -> None:
        super().__init__()
        self.user, self.item = user, item
        self.user_tower = MLP([len(user) * inputs.dim + len(inputs.numeric), 2 * width, width], activate_last=False)
        self.item_tower = MLP([len(item) * inputs.dim, 2 * width, width], activate_last=False)
        self.bias = AdaptiveBias(1)

    def forward(self, features: Features, rows: FeatureRows) -> Tensor:
        """Logits [n]."""
        user = self.user_tower(torch.cat([features.numeric, *(rows[name] for name in self.user)], 1))
        item = self.item_tower(torch.cat([rows[name] for name in self.item], 1))
        affinity = (user * item).sum(1, keepdim=True)
        logits: Tensor = self.bias(affinity)
        return logits.squeeze(1)
