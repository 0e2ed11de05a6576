"""The model: its class, its sizes and its vocabularies."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from gmeta_api.spec import patterns
from gmeta_api.spec.base import ListMap, Rule, SpecModel
from gmeta_api.spec.scalars import Identifier, LayerSize

ModelType = Annotated[str, Field(max_length=256, pattern=patterns.MODEL_TYPE)]
VocabularyRows = Annotated[int, Field(ge=1, le=100_000_000_000)]

_ROWS_RULES = (
    Rule("self.type != 'hash' || has(self.rows)", "a hash vocabulary needs its number of rows", "rows"),
    Rule(
        "self.type == 'hash' || !has(self.rows)",
        "an exact vocabulary has as many rows as the training data has keys; remove rows or set type to hash",
        "rows",
    ),
)


class VocabularySpec(SpecModel):
    """How keys become rows of an embedding table."""

    cel_rules: ClassVar[tuple[Rule, ...]] = _ROWS_RULES

    type: Literal["exact", "hash"] = Field(
        default="exact",
        description="exact: a row for every key of the training data, one for all others; hash: keys share rows.",
    )
    rows: VocabularyRows | None = Field(default=None, description="Rows of the table; with type hash only.")


class NamedVocabularySpec(SpecModel):
    """How the keys of one vocabulary become rows."""

    cel_rules: ClassVar[tuple[Rule, ...]] = _ROWS_RULES

    name: Identifier = Field(description="Name of the vocabulary: that of the feature which owns it.")
    type: Literal["exact", "hash"] = Field(
        description="exact: a row for every key of the training data, one for all others; hash: keys share rows."
    )
    rows: VocabularyRows | None = Field(default=None, description="Rows of the table; with type hash only.")


class AdaptivePartsSpec(SpecModel):
    """Parts that a built-in model has beside its own layers for tasks to adapt; all start at zero."""

    bias: bool = Field(default=False, description="A constant added to the logit: layer bias.")
    context: bool = Field(
        default=False,
        description="A vector of width embeddingDim that enters the model like one more feature: layer context.",
    )
    wide: Annotated[int, Field(ge=0, le=65536)] = Field(
        default=0,
        description="Width of a learned projection of features' rows, which a linear layer of the task's own adds to "
        "the logit: layer wide.head; 0 for none.",
    )
    wide_features: Annotated[tuple[Identifier, ...], Field(max_length=256)] = Field(
        default=(),
        description="Features whose rows are projected; best those that differ between a task's rows, such as the "
        "item's where users are tasks; else all.",
    )


class ModelSpec(SpecModel):
    """The model: its class, its sizes and its vocabularies."""

    type: ModelType = Field(
        default="DLRM",
        description="DLRM, DeepFM, DCN (v2), WideDeep, MeLU, LiMAML, for several labels MMoE, PLE or DTN, or a class "
        "of your own as package.module:Class.",
    )
    embedding_dim: Annotated[int, Field(ge=1, le=4096)] = Field(default=16, description="Width of every embedding row.")
    vocabulary: VocabularySpec = Field(
        default=VocabularySpec(), description="How keys become rows, for every vocabulary that is not listed apart."
    )
    vocabularies: Annotated[tuple[NamedVocabularySpec, ...], Field(max_length=256), ListMap("name")] = Field(
        default=(), description="Vocabularies that differ from the default, by name."
    )
    bottom: Annotated[tuple[LayerSize, ...], Field(max_length=16)] = Field(
        default=(64, 16),
        description="Hidden sizes of DLRM's layers over the numeric features; one to embeddingDim follows.",
    )
    top: Annotated[tuple[LayerSize, ...], Field(max_length=16)] = Field(
        default=(64, 32),
        description="Hidden sizes of the layers over the interactions (DLRM), over all features, or of each label's "
        "tower (MMoE, PLE, DTN); one to the output follows.",
    )
    cross_layers: Annotated[int, Field(ge=1, le=16)] = Field(default=3, description="Cross layers of DCN and DTN.")
    experts: Annotated[int, Field(ge=1, le=64)] = Field(
        default=4, description="Experts that all labels share, of MMoE, PLE and DTN."
    )
    own_experts: Annotated[int, Field(ge=1, le=64)] = Field(
        default=2, description="Experts that each label has for itself, of PLE."
    )
    expert_size: LayerSize = Field(default=32, description="Outputs of an expert of MMoE, PLE and DTN.")
    meta_block: Annotated[tuple[LayerSize, ...], Field(min_length=1, max_length=16)] = Field(
        default=(32, 16),
        description="Sizes of LiMAML's meta block, whose last output is the meta embedding.",
    )
    adaptive: AdaptivePartsSpec = Field(
        default=AdaptivePartsSpec(), description="Parts of a built-in model that are there for tasks to adapt."
    )
    offset: Annotated[tuple[Identifier, ...], Field(max_length=16)] = Field(
        default=(),
        description="Numeric features that are added to a built-in model's logit as they are, such as a rate of the "
        "item; they also enter the model like the other numeric features.",
    )
    dropout: Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=0.0, description="Share of the outputs of a built-in model's hidden layers that training drops."
    )
    args: dict[str, JsonValue] = Field(default={}, description="Keyword arguments of a class of your own, as any JSON.")
