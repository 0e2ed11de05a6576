"""Models with a deep part over all inputs side by side: wide & deep, DeepFM, DCN v2, MeLU's net and LiMAML's."""

import torch
from torch import Tensor, nn

from gmeta_api.spec import ModelSpec
from gmeta_worker.layers import MLP, AdaptiveLinear
from gmeta_worker.models.contract import FeatureRows, Features, ModelInputs
from gmeta_worker.models.ranking import RankingModel, flat, plus


class DeepModel(RankingModel):
    """Base of these models: `top` maps `width` inputs to one logit a label, ReLU between its layers.

    Args:
        spec: the manifest's model.
        inputs: what the dataset offers.
        beside: width of what the deep part is given beside the inputs.

    Attributes:
        width: of the inputs side by side.
    """

    def __init__(self, spec: ModelSpec, inputs: ModelInputs, beside: int = 0) -> None:
        super().__init__(spec, inputs)
        self.width = len(inputs.numeric) + (len(inputs.features) + self.vectors) * inputs.dim
        self.top = MLP([self.width + beside, *spec.top, self.outputs], activate_last=False, dropout=spec.dropout)
        self.roles = {**self.roles, "head": ("top.*",)}

    def core(self, features: Features, rows: FeatureRows) -> Tensor:
        """Logits [n] or [n, L]."""
        return self.deep(flat(features, rows))

    def deep(self, x: Tensor) -> Tensor:
        """[n, width + beside] -> logits [n] or [n, L]."""
        logits: Tensor = self.top(x)
        return logits.squeeze(1)


class MeLU(DeepModel):
    """MeLU's preference estimator (arXiv 1908.00413): decision layers over the concatenated inputs.

    Its algorithm adapts the decision layers and leaves the embeddings alone: ANIL here.
    """


class WideDeep(DeepModel):
    """Wide & deep (arXiv 1606.07792); the wide part is a linear layer over the same dense inputs."""

    def __init__(self, spec: ModelSpec, inputs: ModelInputs) -> None:
        super().__init__(spec, inputs)
        self.linear = AdaptiveLinear(self.width, self.outputs)

    def core(self, features: Features, rows: FeatureRows) -> Tensor:
        """Logits [n] or [n, L]."""
        x = flat(features, rows)
        wide: Tensor = self.linear(x)
        return wide.squeeze(1) + self.deep(x)


class DeepFM(WideDeep):
    """DeepFM (arXiv 1703.04247): linear part, factorisation machine over the rows, and a deep part that share them.

    The labels share the factorisation machine's term.
    """

    def core(self, features: Features, rows: FeatureRows) -> Tensor:
        """Logits [n] or [n, L]."""
        total = rows.stacked.sum(1)
        pairs = 0.5 * (total.square() - rows.stacked.square().sum(1)).sum(1)
        return plus(super().core(features, rows), pairs)


class DCN(DeepModel):
    """DCN v2, stacked (arXiv 2008.13535, equation 1): x_(l+1) = x_0 * (W_l x_l + b_l) + x_l, then the deep part."""

    def __init__(self, spec: ModelSpec, inputs: ModelInputs) -> None:
        super().__init__(spec, inputs)
        self.cross = nn.ModuleList(AdaptiveLinear(self.width, self.width) for _ in range(spec.cross_layers))

    def core(self, features: Features, rows: FeatureRows) -> Tensor:
        """Logits [n] or [n, L]."""
        first = x = flat(features, rows)
        for layer in self.cross:
            x = first * layer(x) + x
        return self.deep(x)


class LiMAML(DeepModel):
    """A meta block whose output, the meta embedding, is one more input of a global block (arXiv 2403.00803).

    The meta block sees all inputs; a task adapts it and nothing else. The meta embedding of a task is the mean of its
    outputs over the task's support samples.
    """

    def __init__(self, spec: ModelSpec, inputs: ModelInputs) -> None:
        super().__init__(spec, inputs, beside=spec.meta_block[-1])
        self.meta_block = MLP([self.width, *spec.meta_block], activate_last=False, dropout=spec.dropout)
        self.roles = {**self.roles, "meta block": ("meta_block.*",)}

    def core(self, features: Features, rows: FeatureRows) -> Tensor:
        """Logits [n] or [n, L]."""
        x = flat(features, rows)
        return self.deep(torch.cat([x, self.meta_embeddings(x)], 1))

    def meta_embeddings(self, x: Tensor) -> Tensor:
        """[n, width] -> [n, metaBlock's last size]."""
        embeddings: Tensor = self.meta_block(x)
        return embeddings
