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


class ModelSpec(SpecModel):
    """The model: its class, its sizes and its vocabularies."""

    type: ModelType = Field(default="DLRM", description="DLRM, or a class of your own as package.module:Class.")
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
        description="Hidden sizes of DLRM's layers over the interactions; one to a single output follows.",
    )
    args: dict[str, JsonValue] = Field(default={}, description="Keyword arguments of a class of your own, as any JSON.")
