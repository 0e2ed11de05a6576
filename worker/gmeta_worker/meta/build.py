"""From the manifest's meta section to an algorithm."""

import logging
from collections.abc import Sequence

from torch import nn

from gmeta_api.errors import ModelError
from gmeta_api.spec import InnerSpec, MetaSpec
from gmeta_worker.meta.adapter import Adapter, InnerLoop
from gmeta_worker.meta.algorithm import Algorithm, Joint, Maml
from gmeta_worker.meta.generic import GenericAdapter
from gmeta_worker.meta.packed import PackedAdapter
from gmeta_worker.meta.targets import Targets, find_targets

_logger = logging.getLogger(__name__)


def build_algorithm(meta: MetaSpec, model: nn.Module, table_names: Sequence[str]) -> Algorithm:
    """The algorithm for a model whose samples' `tables` number `table_names`.

    Raises:
        ModelError: a pattern of what adapts matches nothing, or nothing adapts in meta-learning.
    """
    targets = find_targets(meta.adapt, model, table_names)
    adapter = _adapter(targets)
    evaluation = _loop(meta.eval_inner or meta.inner, second_order=False)
    if meta.algorithm == "Joint":
        return Joint(adapter, evaluation)
    if targets.empty:
        raise ModelError(
            f"spec.meta.adapt: {meta.algorithm} needs something that adapts, received no pattern for layers or rows; "
            "name some, or set spec.meta.algorithm to Joint"
        )
    training = _loop(meta.inner, second_order=meta.algorithm == "MAML")
    return Maml(adapter, training, evaluation, meta.outer_loss)


def _adapter(targets: Targets) -> Adapter:
    if not targets.plain:
        return PackedAdapter(targets)
    _logger.info(
        "the inner loop goes task by task, because %s adapt and are not adaptive layers with weights of their own; "
        "build them from gmeta_worker.layers for the fast path, or leave them out of spec.meta.adapt.dense",
        ", ".join(targets.plain),
    )
    return GenericAdapter(targets)


def _loop(inner: InnerSpec, *, second_order: bool) -> InnerLoop:
    return InnerLoop(inner.steps, inner.rate, inner.shrinkage, second_order)
