"""Dot products of all pairs of vectors, with derivatives that are pairwise products again."""

from functools import cache

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx


def pairwise_dots(vectors: Tensor) -> Tensor:
    """The dot products of all pairs i < j of each sample's F vectors: [n, F, dim] -> [n, F (F - 1) / 2], by i, then j.

    Differentiable any number of times. Inside of autocast it computes in autocast's type, derivatives too.
    """
    if torch.compiler.is_exporting():  # an exported graph has no derivatives, and what it traces must not be kept
        pairs = _pairs.__wrapped__(vectors.shape[1], vectors.device)
        return torch.bmm(vectors, vectors.transpose(1, 2)).flatten(1).index_select(1, pairs)
    device = vectors.device.type
    if torch.is_autocast_enabled(device):
        vectors = vectors.to(torch.get_autocast_dtype(device))
    dots: Tensor = _PairwiseDots.apply(vectors)  # type: ignore[no-untyped-call]
    return dots


def pairs_with(first: Tensor, others: Tensor) -> list[Tensor]:
    """The dot products of all pairs of `first` [n, dim] and `others` [n, F, dim], as parts [n, ...] side by side.

    Where only the first vector needs a gradient (rows in a first-order inner step need none), its products are a part
    of their own, so that what follows may leave the other ones out of its backward pass.
    """
    if first.requires_grad and not others.requires_grad:
        return [(others * first.unsqueeze(1)).sum(2), pairwise_dots(others)]
    return [pairwise_dots(torch.cat([first.unsqueeze(1), others], 1))]


class _PairwiseDots(torch.autograd.Function):
    """The gradient of a symmetric matrix is symmetric: one gather and one product where autograd takes two of each."""

    @staticmethod
    def forward(ctx: FunctionCtx, vectors: Tensor) -> Tensor:
        ctx.save_for_backward(vectors)
        return _upper(torch.bmm(vectors, vectors.transpose(1, 2)))

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        (vectors,) = ctx.saved_tensors  # type: ignore[attr-defined]
        product: Tensor = _SymmetricProduct.apply(gradient, vectors)  # type: ignore[no-untyped-call]
        return product


class _SymmetricProduct(torch.autograd.Function):
    """[n, pairs] and [n, F, dim] -> [n, F, dim]: of vector i the sum over j of pair (i, j)'s number times vector j."""

    @staticmethod
    def forward(ctx: FunctionCtx, numbers: Tensor, vectors: Tensor) -> Tensor:
        ctx.save_for_backward(numbers, vectors)
        return torch.bmm(_symmetric(numbers, vectors.shape[1]), vectors)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor]:
        numbers, vectors = ctx.saved_tensors  # type: ignore[attr-defined]
        left, right = torch.cat([gradient, vectors], 2), torch.cat([vectors, gradient], 2)
        by_number = _upper(torch.bmm(left, right.transpose(1, 2)))
        by_vector: Tensor = _SymmetricProduct.apply(numbers, gradient)  # type: ignore[no-untyped-call]
        return by_number, by_vector


def _upper(squares: Tensor) -> Tensor:
    """The numbers above the diagonals: [n, F, F] -> [n, pairs]."""
    return squares.flatten(1).index_select(1, _pairs(squares.shape[1], squares.device))


def _symmetric(numbers: Tensor, vectors: int) -> Tensor:
    """[n, pairs] -> [n, F, F], zero on the diagonals."""
    padded = torch.cat([numbers, numbers.new_zeros(len(numbers), 1)], 1)
    return padded.index_select(1, _places(vectors, numbers.device)).view(len(numbers), vectors, vectors)


@cache
def _pairs(vectors: int, device: torch.device) -> Tensor:
    """int64[pairs]: where each pair lies in a flat [F, F] matrix."""
    upper = torch.triu_indices(vectors, vectors, offset=1, device=device)
    return upper[0] * vectors + upper[1]


@cache
def _places(vectors: int, device: torch.device) -> Tensor:
    """int64[F * F]: which pair each place of a symmetric matrix shows; on the diagonal the number of pairs."""
    upper = torch.triu_indices(vectors, vectors, offset=1, device=device)
    places = torch.full((vectors, vectors), upper.shape[1], device=device)
    numbers = torch.arange(upper.shape[1], device=device)
    places[upper[0], upper[1]] = numbers
    places[upper[1], upper[0]] = numbers
    return places.flatten()
