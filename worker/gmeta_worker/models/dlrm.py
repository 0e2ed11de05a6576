"""DLRM: embeddings, pairwise dot products, and two MLPs (arXiv 1906.00091)."""

from torch import Tensor

from gmeta_api.errors import ModelError
from gmeta_api.spec import ModelSpec
from gmeta_worker.layers import MLP
from gmeta_worker.models.contract import FeatureRows, Features, ModelInputs
from gmeta_worker.models.interaction import pairs_with, pairwise_dots
from gmeta_worker.models.ranking import RankingModel


class DLRM(RankingModel):
    """Dot products of all pairs of feature vectors, and of the numeric features brought to the same width.

    With F feature vectors of width dim and D numeric columns: `bottom` maps [n, D] to [n, dim] (absent if D = 0); `top`
    maps the bottom output, the context vector where there is one, and the dot products of all pairs of vectors to one
    logit a label. ReLU after every layer of `bottom` and between those of `top`.

    Args:
        spec: the manifest's model.
        inputs: what the dataset offers.

    Raises:
        ModelError: there is nothing to interact.
    """

    def __init__(self, spec: ModelSpec, inputs: ModelInputs) -> None:
        super().__init__(spec, inputs)
        columns, dim = len(inputs.numeric), inputs.dim
        vectors = len(inputs.features) + self.vectors + bool(columns)
        if vectors < 2 and not columns:
            raise ModelError(
                f"DLRM: expected at least two features, or a numeric column, received {len(inputs.features)} features "
                "and no numeric column; add features to the dataset or use a model class of your own"
            )
        self.bottom = MLP([columns, *spec.bottom, dim], activate_last=True, dropout=spec.dropout) if columns else None
        interactions = vectors * (vectors - 1) // 2 + dim * (bool(columns) + self.vectors)
        self.top = MLP([interactions, *spec.top, self.outputs], activate_last=False, dropout=spec.dropout)
        self.roles = {**self.roles, "head": ("top.*",)}

    def core(self, features: Features, rows: FeatureRows) -> Tensor:
        """Logits [n] or [n, L]."""
        vectors = rows.stacked
        parts = [vectors[:, -1]] if self.vectors else []
        if self.bottom is None:
            parts.append(pairwise_dots(vectors))
        else:
            numeric = self.bottom(features.numeric)
            parts = [numeric, *parts, *pairs_with(numeric, vectors)]
        logits: Tensor = self.top(parts)
        return logits.squeeze(1)
