"""DLRM: embeddings, pairwise dot products, and two MLPs (arXiv 1906.00091)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gmeta_api.errors import ModelError
from gmeta_worker.layers import MLP
from gmeta_worker.models.contract import FeatureRows, Features, ModelInputs


class DLRM(nn.Module):
    """Dot products of all pairs of feature vectors, and of the numeric features brought to the same width.

    With F features of width dim and D numeric columns: `bottom` maps [n, D] to [n, dim] (absent if D = 0); `top` maps
    the bottom output and the dot products of all pairs of the F (+ 1) vectors to one logit.

    Args:
        inputs: what the dataset offers.
        bottom: hidden sizes of the bottom MLP; a layer to `inputs.dim` follows. ReLU after every layer.
        top: hidden sizes of the top MLP; a layer to one output follows. ReLU between layers.

    Raises:
        ModelError: there is nothing to interact.
    """

    def __init__(self, inputs: ModelInputs, bottom: Sequence[int], top: Sequence[int]) -> None:
        super().__init__()
        columns, dim = len(inputs.numeric), inputs.dim
        vectors = len(inputs.features) + bool(columns)
        if vectors < 2 and not columns:
            raise ModelError(
                f"DLRM: expected at least two features, or a numeric column, received {len(inputs.features)} features "
                "and no numeric column; add features to the dataset or use a model class of your own"
            )
        self.bottom = MLP([columns, *bottom, dim], activate_last=True) if columns else None
        self.top = MLP([vectors * (vectors - 1) // 2 + (dim if columns else 0), *top, 1], activate_last=False)
        upper = torch.triu_indices(vectors, vectors, offset=1)
        self.register_buffer("_pairs", upper[0] * vectors + upper[1], persistent=False)
        self._pairs: Tensor

    def forward(self, features: Features, rows: FeatureRows) -> Tensor:
        """Logits [n]."""
        if self.bottom is None:
            interactions = self._dots(rows.stacked)
        else:
            numeric = self.bottom(features.numeric)
            dots = self._dots(torch.cat([numeric.unsqueeze(1), rows.stacked], 1))
            interactions = torch.cat([numeric, dots], 1)
        logits: Tensor = self.top(interactions)
        return logits.squeeze(-1)

    def _dots(self, vectors: Tensor) -> Tensor:
        return torch.bmm(vectors, vectors.transpose(1, 2)).flatten(1).index_select(1, self._pairs)
