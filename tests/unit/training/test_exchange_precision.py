"""Training whose rows travel in bfloat16: off by one rounding of each number, and the same on every rank."""

import torch
from many_ranks import Rank, job, make_batch, parts_of
from threaded_group import run_ranks
from torch import Tensor

from gmeta_api.spec import ParallelismSpec, Spec
from gmeta_worker.parallel import ALONE, Group
from gmeta_worker.training.components import wire_type
from gmeta_worker.training.part import OwnPart

RAGGED = [5, 1, 12, 3, 30, 2, 7]
SIZE = 3
ROUNDING = 2.0**-8


def rounded(spec: Spec) -> Spec:
    return spec.model_copy(update={"parallelism": ParallelismSpec(exchange_precision="bfloat16")})


def test_a_step_is_off_by_one_rounding_of_rows_and_gradients() -> None:
    """Plain steps of rate 1 make the update of a row its gradient; all ranks compute from the rounded rows."""
    spec, batch = rounded(job("MAML")), make_batch(RAGGED)

    def one_rank(group: Group) -> tuple[Tensor, dict[str, Tensor]]:
        rank = Rank.of(spec, group)
        rank.step(batch, 0)
        return rank.rows()["weights"], rank.dense()

    found = run_ranks(SIZE, one_rank)
    parts = parts_of(job("MAML"), ALONE)
    before = parts.store.export_blocks(0, 4096)["weights"]
    sums, sizes, weight = torch.zeros_like(before), torch.zeros_like(before), 0.0
    dense = {name: torch.zeros_like(p) for name, p in parts.model.named_parameters()}
    for rank in range(SIZE):
        inputs = parts.assembler(OwnPart(rank, (1.0,) * SIZE)(batch))
        rows = parts.store.lookup(inputs.ids).bfloat16().double()
        own = parts.algorithm.gradients(parts.model, rows, inputs.samples)
        sums.index_add_(0, inputs.ids, own.rows)
        sizes.index_add_(0, inputs.ids, own.rows.abs())
        weight += own.weight
        dense = {name: total + own.dense[name] for name, total in dense.items()}
    update = before - torch.cat([rows for rows, _ in found])
    assert ((update - sums / weight).abs() <= ROUNDING * sizes / weight + 1e-12).all()
    assert (update != sums / weight).any()
    for name, parameter in parts.model.named_parameters():
        expected = parameter.detach() - dense[name] / weight
        assert all(torch.allclose(each[name], expected, rtol=1e-10, atol=1e-12) for _, each in found)


def test_one_rank_alone_rounds_nothing() -> None:
    assert wire_type(rounded(job("MAML")), ALONE) is None
    assert run_ranks(2, lambda group: wire_type(rounded(job("MAML")), group)) == [torch.bfloat16] * 2
    assert run_ranks(2, lambda group: wire_type(job("MAML"), group)) == [None] * 2
