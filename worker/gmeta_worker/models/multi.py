"""Models of several labels that choose what to share: MMoE, PLE and DTN. Each label has a gate and a tower."""

import torch
from torch import Tensor, nn

from gmeta_api.spec import ModelSpec
from gmeta_worker.layers import MLP, AdaptiveLinear
from gmeta_worker.models.contract import FeatureRows, Features, ModelInputs
from gmeta_worker.models.ranking import RankingModel, flat


class Experts(nn.Module):
    """One-layer networks side by side: a single linear layer, whose outputs are cut into the experts'.

    Args:
        width: of the inputs.
        count: number of experts.
        size: outputs of each.
    """

    def __init__(self, width: int, count: int, size: int) -> None:
        super().__init__()
        self.linear = AdaptiveLinear(width, count * size)
        self._count, self._size = count, size

    def forward(self, x: Tensor) -> Tensor:
        """[n, width] -> [n, count, size]."""
        outputs: Tensor = self.linear(x)
        return outputs.relu().view(-1, self._count, self._size)


class Gates(nn.Module):
    """A mixture of experts for each label, by a softmax over a linear layer of the inputs.

    Args:
        width: of the inputs.
        labels: number of labels.
        experts: experts that a label chooses from.
    """

    def __init__(self, width: int, labels: int, experts: int) -> None:
        super().__init__()
        self.linear = AdaptiveLinear(width, labels * experts, bias=False)
        self._labels, self._experts = labels, experts

    def forward(self, x: Tensor, choices: Tensor) -> Tensor:
        """x [n, width] and what each label chooses from, [n, labels, experts, size] -> [n, labels, size]."""
        logits: Tensor = self.linear(x)
        shares = logits.view(-1, self._labels, self._experts).softmax(2)
        return (shares.unsqueeze(3) * choices).sum(2)


class MultiModel(RankingModel):
    """Base of these models: `mixed` gives each label a vector, and a tower of the label's own turns it into a logit.

    Args:
        spec: the manifest's model.
        inputs: what the dataset offers.
        beside: width of what the towers after the first are given beside the vector.

    Attributes:
        width: of the inputs side by side.
    """

    def __init__(self, spec: ModelSpec, inputs: ModelInputs, beside: int = 0) -> None:
        super().__init__(spec, inputs)
        self.width = len(inputs.numeric) + (len(inputs.features) + self.vectors) * inputs.dim
        self.towers = nn.ModuleList(
            MLP([spec.expert_size + (beside if number else 0), *spec.top, 1], activate_last=False, dropout=spec.dropout)
            for number in range(self.outputs)
        )
        self.roles = {**self.roles, "head": ("towers.*",)}

    def core(self, features: Features, rows: FeatureRows) -> Tensor:
        """Logits [n] or [n, L]."""
        mixed = self.mixed(flat(features, rows))
        logits = [tower(mixed[:, number]) for number, tower in enumerate(self.towers)]
        return torch.cat(logits, 1).squeeze(1)

    def mixed(self, x: Tensor) -> Tensor:
        """[n, width] -> [n, L, expertSize]: what each label's tower is given."""
        raise NotImplementedError


class MMoE(MultiModel):
    """Multi-gate mixture of experts (Ma et al., KDD 2018): every label mixes the same experts by a gate of its own."""

    own_experts = False

    def __init__(self, spec: ModelSpec, inputs: ModelInputs) -> None:
        super().__init__(spec, inputs)
        own = spec.own_experts if self.own_experts else 0
        self.experts = Experts(self.width, spec.experts + own * self.outputs, spec.expert_size)
        self.gates = Gates(self.width, self.outputs, spec.experts + own)
        shared = torch.arange(spec.experts).expand(self.outputs, -1)
        owned = spec.experts + torch.arange(own * self.outputs).view(self.outputs, own)
        self.register_buffer("_choices", torch.cat([shared, owned], 1), persistent=False)
        self._choices: Tensor

    def mixed(self, x: Tensor) -> Tensor:
        """Mixtures of the experts that each label sees."""
        gated: Tensor = self.gates(x, self.experts(x)[:, self._choices])
        return gated


class PLE(MMoE):
    """Progressive layered extraction with one level (Tang et al., RecSys 2020): shared experts and each label's own.

    A label's gate chooses from the shared experts and its own, and never sees those of the other labels.
    """

    own_experts = True


class DTN(MultiModel):
    """Deep task-specific networks (arXiv 2408.11611): feature interactions of each label's own, passed down the labels.

    The inputs interact for each label apart, in a gated cross network (GDCN, arXiv 2311.04635) and in a mask block
    (MaskNet, arXiv 2102.07619); the label's gate mixes both with the shared experts. The task-sensitive part: the tower
    of a label is also given the vector of the label before it, as of clicks for orders, through a layer of its own.
    """

    def __init__(self, spec: ModelSpec, inputs: ModelInputs) -> None:
        super().__init__(spec, inputs, beside=spec.expert_size)
        size = spec.expert_size
        self.experts = Experts(self.width, spec.experts, size)
        self.crosses = nn.ModuleList(GatedCross(self.width, spec.cross_layers, size) for _ in range(self.outputs))
        self.masks = nn.ModuleList(MaskBlock(self.width, size) for _ in range(self.outputs))
        self.gates = Gates(self.width, self.outputs, spec.experts + 2)
        self.passed = nn.ModuleList(AdaptiveLinear(size, size) for _ in range(self.outputs - 1))

    def core(self, features: Features, rows: FeatureRows) -> Tensor:
        """Logits [n] or [n, L]."""
        first, *others = self.mixed(flat(features, rows)).unbind(1)
        logits, vector = [self.towers[0](first)], first
        for own, carry, tower in zip(others, self.passed, self.towers[1:], strict=True):
            logits.append(tower(torch.cat([own, carry(vector).relu()], 1)))
            vector = own
        return torch.cat(logits, 1).squeeze(1)

    def mixed(self, x: Tensor) -> Tensor:
        """Mixtures of the shared experts and of each label's own interactions."""
        shared = self.experts(x)
        choices = [
            torch.cat([shared, torch.stack([cross(x), mask(x)], 1)], 1)
            for cross, mask in zip(self.crosses, self.masks, strict=True)
        ]
        gated: Tensor = self.gates(x, torch.stack(choices, 1))
        return gated


class GatedCross(nn.Module):
    """Cross layers with a gate on what they add: x_(l+1) = x_0 * (W_l x_l + b_l) * sigmoid(G_l x_l) + x_l; then ReLU
    over a linear layer.

    Args:
        width: of the inputs.
        layers: number of cross layers.
        size: outputs.
    """

    def __init__(self, width: int, layers: int, size: int) -> None:
        super().__init__()
        self.cross = nn.ModuleList(AdaptiveLinear(width, width) for _ in range(layers))
        self.gate = nn.ModuleList(AdaptiveLinear(width, width, bias=False) for _ in range(layers))
        self.out = AdaptiveLinear(width, size)

    def forward(self, first: Tensor) -> Tensor:
        """[n, width] -> [n, size]."""
        x = first
        for cross, gate in zip(self.cross, self.gate, strict=True):
            x = first * cross(x) * gate(x).sigmoid() + x
        out: Tensor = self.out(x)
        return out.relu()


class MaskBlock(nn.Module):
    """The inputs times a mask that a small network makes of them; then ReLU over a linear layer.

    Args:
        width: of the inputs.
        size: of the network's hidden layer, and of the outputs.
    """

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.mask = MLP([width, size, width], activate_last=False)
        self.out = AdaptiveLinear(width, size)

    def forward(self, x: Tensor) -> Tensor:
        """[n, width] -> [n, size]."""
        out: Tensor = self.out(x * self.mask(x))
        return out.relu()
