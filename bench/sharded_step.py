"""CPU time of a training step on two ranks: the product's beside TorchRec's, on the same model, rows and samples.

DLRM with 26 tables, 13 numeric columns, bottom 256, top 256-128, global batch 2048, one id a feature, row-wise Adagrad;
two processes of one thread, gloo. All contestants live in the same processes and take turns. TorchRec gets ready row
numbers in its own layout; the product's step begins with raw keys (hashing, unique ids, packing) and is also shown
without that. `EmbeddingCollection` (EC) gives rows as meta-learning needs them; the pooled `EmbeddingBagCollection`
(EBC) does not, and is shown as the fastest of TorchRec. Checked first: all contestants start from the same weights, and
their losses agree over steps that overfit one batch, so all of them train. Needs bench/requirements-torchrec.txt.
"""

import argparse
import copy
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from bench.dlrm_job import NAMES, TABLES, build, job, make_batch
from bench.ranks import run_ranks
from bench.result import write_result
from gmeta_api.spec import Spec
from gmeta_worker.embedding import RowStore, Sgd
from gmeta_worker.metaio import StepBatch
from gmeta_worker.models import FeatureRows, Features
from gmeta_worker.parallel import Group
from gmeta_worker.training.components import Components
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.part import OwnPart
from gmeta_worker.training.phase_plan import PhasePlan
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.step import TrainingStep

RATE, SAMPLES, WARMUP, OVERFIT = 0.01, 2048, 3, 8
KINDS = {
    "TorchRec EC, row-wise": ("sequence", "row_wise"),
    "TorchRec EBC, row-wise": ("pooled", "row_wise"),
    "TorchRec EBC, table-wise": ("pooled", "table_wise"),
}
OURS, OURS_AFTER_INPUT = "G-Meta, raw keys to update", "G-Meta, after its input"

Step = Callable[[StepBatch], float]


class Ours:
    """The product's training step, ordinary training on all samples."""

    def __init__(self, spec: Spec, parts: Components) -> None:
        self.clock = PhaseClock(time.process_time)
        optimizer = DenseOptimizer(spec.optimizer.dense, parts.model)
        part = OwnPart.even(parts.group)
        self._step = TrainingStep(
            parts, optimizer, spec.optimizer, PhasePlan(spec.algorithms, (0,), 1), part, lambda: False, self.clock
        )

    def __call__(self, batch: StepBatch) -> float:
        """Train; the mean loss of all ranks."""
        return self._step(batch, 0).loss


class Theirs:
    """TorchRec's sharded tables under the same dense model, with the same initial weights.

    Traps: `fused` must be asked for, or CPU tables silently do not train; its gradients are means over the ranks.
    """

    def __init__(self, parts: Components, tables: "Tables", kind: tuple[str, str]) -> None:
        from torchrec.distributed.model_parallel import DistributedModelParallel
        from torchrec.distributed.types import ShardingEnv

        self._parts = parts
        self._part = OwnPart.even(parts.group)
        pooled = kind[0] == "pooled"
        model = _TorchRecModel(parts.model, tables, pooled=pooled)
        sharder, plan = _sharding(model, kind, parts.group.size)
        group = dist.group.WORLD
        assert group is not None, "made by run_ranks"
        self._model = DistributedModelParallel(
            model,
            env=ShardingEnv.from_process_group(group),
            device=torch.device("cpu"),
            plan=plan,
            sharders=[sharder],
        )
        _take_over(self._model, tables)
        dense = [p for name, p in self._model.named_parameters() if "dense" in name]
        self._optimizer = torch.optim.Adagrad(dense, RATE)

    def inputs(self, batch: StepBatch) -> tuple[Any, Tensor, Tensor]:
        """This rank's part as TorchRec takes it; not timed."""
        from torchrec import KeyedJaggedTensor

        own = self._part(batch)
        rows = [self._parts.vocabularies[name].index(own.keys[:, number]) for number, name in enumerate(NAMES)]
        values = torch.cat([torch.from_numpy(each) for each in rows])
        kjt = KeyedJaggedTensor(keys=list(NAMES), values=values, lengths=torch.ones(len(values), dtype=torch.int64))
        return kjt, torch.from_numpy(own.numeric), torch.from_numpy(own.labels[:, 0])

    def __call__(self, kjt: object, numeric: Tensor, labels: Tensor) -> float:
        """Train; the mean loss of this rank."""
        self._optimizer.zero_grad(set_to_none=True)
        loss = binary_cross_entropy_with_logits(self._model(kjt, numeric), labels)
        loss.backward()
        self._optimizer.step()
        return float(loss)


class Tables:
    """The initial rows of every table, as the product has them."""

    def __init__(self, rows: int, dim: int) -> None:
        self.rows, self.dim = rows, dim
        self._store = RowStore(dict.fromkeys(NAMES, rows), dim, Sgd(), seed=0)

    def initial(self, name: str, lo: int, hi: int) -> Tensor:
        """Rows lo..hi of a table."""
        ids = self._store.row_ids(name, torch.arange(lo, hi).numpy())
        return self._store.lookup(torch.from_numpy(ids))


class _TorchRecModel(nn.Module):
    def __init__(self, dense: nn.Module, tables: Tables, *, pooled: bool) -> None:
        from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, EmbeddingCollection, EmbeddingConfig

        super().__init__()
        config = EmbeddingBagConfig if pooled else EmbeddingConfig
        configs = [
            config(name=f"t_{name}", embedding_dim=tables.dim, num_embeddings=tables.rows, feature_names=[name])
            for name in NAMES
        ]
        collection = EmbeddingBagCollection if pooled else EmbeddingCollection
        self.sparse = collection(tables=configs, device=torch.device("meta"))
        self.dense = copy.deepcopy(dense)
        self._pooled, self._dim = pooled, tables.dim

    def forward(self, kjt: object, numeric: Tensor) -> Tensor:
        found = self.sparse(kjt)
        if self._pooled:
            stacked = found.values().view(-1, TABLES, self._dim)
        else:
            stacked = torch.stack([found[name].values() for name in NAMES], 1)
        logits: Tensor = self.dense(Features(numeric), FeatureRows(NAMES, stacked))
        return logits


def _sharding(model: _TorchRecModel, kind: tuple[str, str], size: int) -> tuple[Any, Any]:
    """A plan by hand: the planner offers no row-wise sharding to pooled tables on CPUs.

    Neighbouring tables share a rank, because pooled rows come back in the order of the ranks.
    """
    from fbgemm_gpu.split_embedding_configs import EmbOptimType
    from torchrec.distributed.embedding import EmbeddingCollectionSharder
    from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
    from torchrec.distributed.sharding_plan import construct_module_sharding_plan, row_wise, table_wise
    from torchrec.distributed.types import ShardingPlan

    sharder_class = EmbeddingBagCollectionSharder if kind[0] == "pooled" else EmbeddingCollectionSharder
    fused = {"optimizer": EmbOptimType.EXACT_ROWWISE_ADAGRAD, "learning_rate": RATE, "eps": 1e-8}
    sharder = sharder_class(fused_params=fused)
    per_table = {
        f"t_{name}": row_wise(compute_kernel="fused")
        if kind[1] == "row_wise"
        else table_wise(rank=number * size // TABLES, compute_kernel="fused")
        for number, name in enumerate(NAMES)
    }
    placed = construct_module_sharding_plan(
        model.sparse, per_table, sharder=sharder, local_size=size, world_size=size, device_type="cpu"
    )
    return sharder, ShardingPlan(plan={"sparse": placed})


def _take_over(model: nn.Module, tables: Tables) -> None:
    """Copy the product's initial rows into this rank's shards."""
    for key, value in model.state_dict().items():
        if "t_C" in key:
            name = key.split("t_")[1].split(".")[0]
            for shard in value.local_shards():
                lo = shard.metadata.shard_offsets[0]
                shard.tensor.detach().copy_(tables.initial(name, lo, lo + len(shard.tensor)))


def work(group: Group, dim: int, rows: int, repeats: int) -> dict[str, list[float]]:
    """One rank: check that all train alike, then CPU seconds of every step by contestant."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    spec = job("Joint", dim, rows, RATE)
    parts = build(spec, group)
    tables = Tables(rows, dim)
    theirs = {name: Theirs(parts, tables, kind) for name, kind in KINDS.items()}
    ours = Ours(spec, parts)
    _check(group, ours, theirs, make_batch(SAMPLES, 10 * rows, 0))
    seconds: dict[str, list[float]] = {name: [] for name in (OURS, OURS_AFTER_INPUT, *KINDS)}
    for number in range(WARMUP + repeats):
        batch = make_batch(SAMPLES, 10 * rows, 1 + number)
        before = ours.clock.seconds["input"]
        spent = _timed(ours, batch)
        seconds[OURS].append(spent)
        seconds[OURS_AFTER_INPUT].append(spent - (ours.clock.seconds["input"] - before))
        for name, contestant in theirs.items():
            seconds[name].append(_timed(contestant, *contestant.inputs(batch)))
    return {name: spent[WARMUP:] for name, spent in seconds.items()}


def _timed(step: Callable[..., float], *arguments: object) -> float:
    started = time.process_time()
    step(*arguments)
    return time.process_time() - started


def _check(group: Group, ours: Ours, theirs: Mapping[str, Theirs], batch: StepBatch) -> None:
    expected = [ours(batch) for _ in range(OVERFIT)]
    if not expected[-1] < expected[0] - 0.01:
        raise RuntimeError(f"the product does not train: losses {expected}")
    for name, contestant in theirs.items():
        own = torch.tensor([contestant(*contestant.inputs(batch)) for _ in range(OVERFIT)])
        group.all_reduce(own).wait()
        if not torch.allclose(own / group.size, torch.tensor(expected), rtol=1e-3, atol=1e-4):
            raise RuntimeError(f"{name}: expected losses {expected}, received {(own / group.size).tolist()}")


def table(title: str, seconds: Mapping[str, Sequence[float]]) -> Table:
    """Median CPU milliseconds of a step and rank, its quartiles, samples a core-second, and the ratio to ours."""
    shown = Table(title=title)
    for column in ("step", "CPU ms", "quartiles", "samples a core-s", "of G-Meta's"):
        shown.add_column(column, justify="left" if column == "step" else "right")
    ours = statistics.median(seconds[OURS])
    for name, spent in seconds.items():
        low, middle, high = (1e3 * q for q in statistics.quantiles(spent, n=4))
        per_second = SAMPLES / 2 / statistics.median(spent)
        shown.add_row(
            name, f"{middle:.1f}", f"{low:.1f}..{high:.1f}", f"{per_second:,.0f}", f"{middle / 1e3 / ours:.2f}"
        )
    return shown


def main(argv: list[str]) -> int:
    """Time dims 16 and 64."""
    parser = argparse.ArgumentParser(prog="python -m bench sharded_step", description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--rows", type=int, default=100_000, help="of a table")
    parser.add_argument("--dims", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--out", type=Path, help="also write the result as JSON")
    arguments = parser.parse_args(argv)
    ratios: dict[str, float] = {}
    figures: dict[str, dict[str, float]] = {}
    for dim in arguments.dims:
        ranks = run_ranks(2, work, dim, arguments.rows, arguments.repeats)
        seconds = {name: [s for rank in ranks for s in rank[name]] for name in ranks[0]}
        Console().print(table(f"2 ranks, batch {SAMPLES}, dim {dim}", seconds))
        medians = {name: statistics.median(spent) for name, spent in seconds.items()}
        ratios |= {f"dim {dim}: {name} / {OURS}": m / medians[OURS] for name, m in medians.items() if name != OURS}
        figures[f"dim {dim}"] = {f"{name}: CPU ms a step and rank": 1e3 * m for name, m in medians.items()}
    if arguments.out is not None:
        write_result(arguments.out, ratios, figures)
    return 0
