"""`adapt.json`: what a task adapts, by how many steps and how far, in numbers and in words."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import nn

from gmeta_api.errors import ModelError
from gmeta_api.spec import AdaptSpec
from gmeta_worker.checkpoint.record import Record
from gmeta_worker.meta import Adapting, Algorithm, InnerLoop, InnerLoops
from gmeta_worker.meta.build import build_adapter
from gmeta_worker.meta.step_size import StepSizes
from gmeta_worker.meta.targets import find_targets

ROWS = "rows/"
WORDS = (
    "A task starts from the weights in dense.safetensors and the rows in rows/. Repeat `steps` times: L is the binary "
    "cross entropy of the logits and the labels, summed over the task's n support samples that have a label. Each "
    "label counts by its weight in `label_weights`; if only m of the n samples have it, (n + s) / (m + s) times as "
    "much, with the recipe's `shrinkage` s. Every listed parameter w, and every row w of a listed vocabulary that the "
    "support uses, becomes w - rate / (n + shrinkage) * dL/dw, all from the same gradients. A task has one copy of a "
    "row, however many of its samples and features use it; the row of unknown keys is a row like any other. Query "
    "samples use the task's weights, the task's copy of a row where it has one, and the shared row elsewhere. Without "
    "support samples nothing changes. Dropout is off."
)


class StepSize(Record):
    """How far a step moves a group of parameters or rows."""

    rate: NonNegativeFloat
    shrinkage: NonNegativeFloat


class LayerStep(StepSize):
    """The same for a layer, and the names of its parameters in dense.safetensors and model.pt2."""

    parameters: tuple[str, ...]


class Recipe(Record):
    """The inner loop of evaluation and serving."""

    format: Literal[1] = 1
    algorithm: str
    judged_adapted: bool = Field(description="Whether the run was judged by adapted scores; Joint training is not.")
    steps: PositiveInt
    layers: dict[str, LayerStep] = Field(description="What adapts of the model, by layer.")
    label_weights: dict[str, float] = Field(default={}, description="What each label counts in L; 1 if not listed.")
    shrinkage: NonNegativeFloat = Field(default=1.0, description="Used where a sample lacks some of several labels.")
    vocabularies: dict[str, StepSize] = Field(description="Vocabularies whose rows adapt.")
    words: str = WORDS


def recipe_of(name: str, algorithm: Algorithm, label_weights: Mapping[str, float]) -> Recipe:
    """Write down the evaluation's inner loop of an algorithm, and what labels count in it.

    Raises:
        ModelError: its scores are computed by code of its own, which numbers cannot tell.
    """
    if not isinstance(algorithm, Adapting) or getattr(type(algorithm), "scores", None) is not Adapting.scores:
        raise ModelError(
            f"spec.meta.algorithm: {name} computes its scores itself, so its inner loop cannot be exported as numbers; "
            "derive it from gmeta_worker.meta.Adapting and leave `scores` as it is"
        )
    loop, targets = algorithm.loops.evaluation, algorithm.loops.adapter.targets
    sizes = loop.sizes.table(loop.rate, loop.shrinkage)
    return Recipe(
        algorithm=name,
        judged_adapted=name != "Joint",
        steps=loop.steps,
        label_weights=dict(label_weights),
        shrinkage=loop.shrinkage,
        layers={
            layer: LayerStep(
                rate=sizes[layer][0],
                shrinkage=sizes[layer][1],
                parameters=tuple(parameter for parameter, owner in targets.parameters.items() if owner == layer),
            )
            for layer in dict.fromkeys(targets.parameters.values())
        },
        vocabularies={
            group.removeprefix(ROWS): StepSize(rate=sizes[group][0], shrinkage=sizes[group][1])
            for group in targets.row_groups.values()
        },
    )


def algorithm_of(recipe: Recipe, model: nn.Module, tables: Sequence[str]) -> Adapting:
    """What scores tasks as the recipe says.

    Raises:
        ModelError: it names what the model does not have.
    """
    adapt = AdaptSpec.model_construct(dense=tuple(recipe.layers), rows=tuple(recipe.vocabularies))
    targets = find_targets(adapt, model, tables)
    dtype = next(model.parameters()).dtype
    loop = InnerLoop(recipe.steps, 1.0, recipe.shrinkage, _sizes(recipe, targets.groups, dtype), second_order=False)
    return Adapting(InnerLoops(build_adapter(targets), loop, loop, "tasks"))


def _sizes(recipe: Recipe, groups: Sequence[str], dtype: torch.dtype) -> StepSizes:
    steps: Mapping[str, StepSize] = {**recipe.layers, **{ROWS + name: s for name, s in recipe.vocabularies.items()}}
    sizes = StepSizes(groups, learned=False, dtype=dtype)
    shrinkages = [steps[g].shrinkage / (recipe.shrinkage or 1.0) for g in groups]
    table = torch.tensor([[steps[g].rate for g in groups], shrinkages], dtype=torch.float64)
    sizes.logs.copy_(table.log())  # the logarithm of no shrinkage is -inf, whose exponential is 0 again
    return sizes
