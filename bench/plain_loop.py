"""The training loop that a user of plain torch would write: one embedding table, one forward pass, two optimisers."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from bench.dlrm_job import NUMERIC, TABLES
from gmeta_worker.metaio import StepBatch
from gmeta_worker.models.interaction import pairs_with

BOTTOM, TOP = (256,), (256, 128)


def mlp(sizes: list[int]) -> nn.Sequential:
    """Linear layers with ReLU after each."""
    layers: list[nn.Module] = []
    for width, following in pairwise(sizes):
        layers += [nn.Linear(width, following), nn.ReLU()]
    return nn.Sequential(*layers)


class PlainDLRM(nn.Module):
    """The same DLRM, of plain layers and with the product's interaction operator.

    Args:
        dim: of an embedding row.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        vectors = TABLES + 1
        self.bottom = mlp([NUMERIC, *BOTTOM, dim])
        self.top = nn.Sequential(mlp([dim + vectors * (vectors - 1) // 2, *TOP]), nn.Linear(TOP[-1], 1))

    def forward(self, numeric: Tensor, looked_up: Tensor) -> Tensor:
        """[n, D] and [n, F, dim] -> logits [n]."""
        bottom = self.bottom(numeric)
        interactions = torch.cat([bottom, *pairs_with(bottom, looked_up)], 1)
        logits: Tensor = self.top(interactions)
        return logits.squeeze(1)


class PlainLoop:
    """Trains on step batches, as numpy gives them; a key's row is its remainder.

    Args:
        dim: of an embedding row.
        rows: of each table.
        rate: of Adagrad, for the dense weights and for the rows, whose gradients are sparse.
    """

    def __init__(self, dim: int, rows: int, rate: float) -> None:
        self.model = PlainDLRM(dim)
        self._table = nn.Embedding(TABLES * rows, dim, sparse=True)
        self._rows = rows
        self._first = torch.arange(TABLES) * rows
        parameters = (self.model.parameters(), self._table.parameters())
        torch.sparse.check_sparse_tensor_invariants.disable()  # as it is by default; a warning asks for the choice
        self._optimizers = [torch.optim.Adagrad(each, lr=rate) for each in parameters]

    def __call__(self, batch: StepBatch) -> float:
        """One step; the mean loss."""
        numeric, labels, keys = (torch.from_numpy(each) for each in (batch.numeric, batch.labels, batch.keys))
        logits = self.model(numeric, self._table(keys % self._rows + self._first))
        loss = binary_cross_entropy_with_logits(logits, labels.squeeze(1))
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in self._optimizers:
            optimizer.step()
        return loss.item()


def copied(model: PlainDLRM, parameters: dict[str, Tensor]) -> None:
    """Give the plain model the product's weights, in order: both have the same layers."""
    with torch.no_grad():
        for own, given in zip(model.parameters(), parameters.values(), strict=True):
            own.copy_(given)


def gradients(model: PlainDLRM, rows: Tensor, index: Tensor, numeric: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
    """Of the summed loss, for the parameters and for `rows`, which `index` [n, F] points into."""
    leaf = rows.detach().requires_grad_()
    loss = binary_cross_entropy_with_logits(model(numeric, leaf[index]), labels.squeeze(1), reduction="sum")
    return torch.autograd.grad(loss, [*model.parameters(), leaf])
