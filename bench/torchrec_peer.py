"""TorchRec's sharded tables under the product's dense model: the peer of `sharded_step`, with the same initial weights.

Needs bench/requirements-torchrec.txt, which is imported when a peer is built.
"""

import copy
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from bench.dlrm_job import NAMES, RATE, TABLES
from gmeta_worker.embedding import RowStore, Sgd
from gmeta_worker.metaio import StepBatch
from gmeta_worker.models import FeatureRows, Features
from gmeta_worker.training.components import Components
from gmeta_worker.training.part import OwnPart


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
