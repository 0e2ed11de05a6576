"""From the manifest's meta section to an algorithm."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from torch import nn

from gmeta_api.errors import ModelError
from gmeta_api.spec import AdaptSpec, InnerSpec, MetaSpec
from gmeta_worker.meta.adapter import Adapter, InnerLoop
from gmeta_worker.meta.algorithm import Algorithm, InnerLoops
from gmeta_worker.meta.generic import GenericAdapter
from gmeta_worker.meta.joint import Joint
from gmeta_worker.meta.maml import Maml
from gmeta_worker.meta.packed import PackedAdapter
from gmeta_worker.meta.reptile import Reptile
from gmeta_worker.meta.step_size import StepSizes
from gmeta_worker.meta.targets import Targets, find_targets
from gmeta_worker.plugin import build, load_class

_logger = logging.getLogger(__name__)


_EVERY_LAYER, _EVERYTHING = AdaptSpec(), AdaptSpec(rows=("*",))


@dataclass(frozen=True)
class _Recipe:
    """What the name of an algorithm stands for.

    Attributes:
        make: the class.
        role: which of the model's roles adapts where the manifest does not say; `whole` where None.
        whole: what adapts then; of most algorithms every layer.
        second_order: whether the outer gradient goes through the inner gradients.
        learned: whether step sizes are learned, whatever the manifest says.
    """

    make: Callable[[InnerLoops], Algorithm]
    role: str | None = None
    whole: AdaptSpec = _EVERY_LAYER
    second_order: bool = True
    learned: bool = False


_RECIPES: Mapping[str, _Recipe] = {
    "MAML": _Recipe(Maml),
    "FOMAML": _Recipe(Maml, second_order=False),
    "ANIL": _Recipe(Maml, role="head"),
    "CAVIA": _Recipe(Maml, role="context"),
    "LiMAML": _Recipe(Maml, role="meta block"),
    "MetaSGD": _Recipe(Maml, learned=True),
    # What does not adapt is not trained, so the rows must.
    "Reptile": _Recipe(Reptile, whole=_EVERYTHING, second_order=False),
    "Joint": _Recipe(Joint),
}


def build_algorithm(meta: MetaSpec, model: nn.Module, table_names: Sequence[str]) -> Algorithm:
    """The algorithm for a model whose samples' `tables` number `table_names`.

    Learned step sizes become parameters of the model, as its submodule `step_sizes`: they are trained, exchanged and
    committed as the others are.

    Raises:
        ModelError: a pattern of what adapts matches nothing, nothing adapts in meta-learning, or a class of the user's
            own cannot be loaded or built.
    """
    recipe = _RECIPES.get(meta.algorithm) or _own(meta)
    targets = find_targets(meta.adapt or _default(recipe, model, meta.algorithm), model, table_names)
    if not targets.groups and meta.algorithm != "Joint":
        raise ModelError(
            f"spec.meta.adapt: {meta.algorithm} needs something that adapts, received no pattern for layers or rows; "
            "name some, or set spec.meta.algorithm to Joint"
        )
    learned = (meta.inner.learned or recipe.learned) and meta.algorithm != "Joint"
    sizes = StepSizes(targets.groups, learned=learned, dtype=next(model.parameters()).dtype)
    if learned:
        _attach(model, meta.algorithm, sizes)
    evaluation = _loop(meta.eval_inner or meta.inner, sizes, second_order=False)
    training = _loop(meta.inner, sizes, second_order=recipe.second_order)
    return recipe.make(InnerLoops(build_adapter(targets), training, evaluation, meta.outer_loss))


def _attach(model: nn.Module, algorithm: str, sizes: StepSizes) -> None:
    """Algorithms of several phases adapt different groups, so each has step sizes of its own."""
    attached = getattr(model, "step_sizes", None) or nn.ModuleDict()
    attached[algorithm.replace(".", "_")] = sizes
    model.step_sizes = attached


def _own(meta: MetaSpec) -> _Recipe:
    found = load_class(meta.algorithm, "spec.meta.algorithm")

    def make(loops: InnerLoops) -> Algorithm:
        made = build(found, meta.algorithm, loops, "loops", meta.args, "spec.meta.args")
        missing = [name for name in ("gradients", "scores") if not callable(getattr(made, name, None))]
        if missing:
            raise ModelError(
                f"spec.meta.algorithm: {meta.algorithm} has no method {' and no method '.join(missing)}; see "
                "gmeta_worker.meta.Algorithm for what an algorithm must do"
            )
        return cast("Algorithm", made)

    return _Recipe(make)


def _default(recipe: _Recipe, model: nn.Module, algorithm: str) -> AdaptSpec:
    if recipe.role is None:
        return recipe.whole
    layers = getattr(model, "roles", {}).get(recipe.role)
    if not layers:
        raise ModelError(
            f"spec.meta.algorithm: {algorithm} adapts the model's {recipe.role}, and {type(model).__name__} has none; "
            "name what adapts in spec.meta.adapt, or use a model with one (docs/models.md)"
        )
    return AdaptSpec(dense=tuple(layers))


def build_adapter(targets: Targets) -> Adapter:
    """The fastest adapter that can adapt them."""
    if not targets.plain:
        return PackedAdapter(targets)
    _logger.info(
        "the inner loop goes task by task, because %s adapt and are not adaptive layers with weights of their own; "
        "build them from gmeta_worker.layers for the fast path, or leave them out of spec.meta.adapt.dense",
        ", ".join(targets.plain),
    )
    return GenericAdapter(targets)


def _loop(inner: InnerSpec, sizes: StepSizes, *, second_order: bool) -> InnerLoop:
    return InnerLoop(inner.steps, inner.rate, inner.shrinkage, sizes, second_order)
