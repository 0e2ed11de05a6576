"""`signature.json`: what the model's inputs are made of, from raw columns to tensors."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field, PositiveInt, ValidationError

from gmeta_api.errors import CheckpointError, DataError
from gmeta_api.spec import PrepareSpec
from gmeta_api.spec.feature import FeatureSpec
from gmeta_worker.checkpoint.manifest import Table
from gmeta_worker.checkpoint.record import Record
from gmeta_worker.metaio import Card, Feature, Schema
from gmeta_worker.metaio.card import NumericCard
from gmeta_worker.metaio.prepare.engine import NULL_KEY
from gmeta_worker.metaio.prepare.rows import of_kind
from gmeta_worker.metaio.prepare.statistics import vocabulary_of

KEYS = (
    "A value becomes a 64-bit signed key: an integer column's value is its own key; any other value is taken as text, "
    "as SQL's CAST AS VARCHAR writes it. Text that is a 64-bit integer as programs print it (no +, no leading zero) "
    "is that integer. Other text is the last 8 bytes of its MD5 digest (of UTF-8) as a little-endian signed integer. "
    "Null and empty text have no key: a categorical feature then has the key `missing_key`, a multi-valued one leaves "
    "the value out."
)
TRANSFORMS = (
    "x, or ln(1 + x) for log1p, is t; a missing value (null, NaN) has t = mean; the input is t, or (t - mean) / std "
    "for standardize, as float32. A rate or count is looked up first: x is the `value` of the column's key in "
    "`prior` (Arrow IPC), 0 for a key that is not there."
)
INPUTS = (
    "numeric: float32[n, D], the numeric features in order. stacked: float32[n, F, dim], the rows of the features in "
    "order; a multi-valued feature is the mean of the rows of its keys, each as often as it occurs, zeros for none. "
    "The output is the logits: float32[n] for one label, float32[n, L] for several, in the order of `labels`."
)
EXACT = "the row of the key; a key that is not in the file has the file's first row, whose key is null"
HASH = (
    "row number mix(key) mod rows, where mix is SplitMix64 on the key's 64 bits, unsigned and modulo 2^64: "
    "z = key + 0x9E3779B97F4A7C15; z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9; z = (z ^ (z >> 27)) * 0x94D049BB133111EB; "
    "z ^ (z >> 31). No key is unknown"
)


class NumericInput(Record):
    """A numeric feature."""

    name: str
    type: Literal["numeric", "rate", "count"]
    column: str = Field(description="Raw column, or SQL expression over raw columns.")
    transform: str
    mean: float
    std: float
    prior: str | None = Field(description="File of a rate or count.")


class FeatureInput(Record):
    """A feature with embedding rows."""

    name: str
    type: Literal["categorical", "multi"]
    columns: tuple[str, ...] = Field(description="Raw columns, or SQL expressions over raw columns.")
    separator: str | None
    vocabulary: str


class VocabularyInput(Record):
    """How keys become rows."""

    type: Literal["exact", "hash"]
    rows: PositiveInt
    file: str
    rule: str


class Signature(Record):
    """The inputs of the model, in order."""

    format: Literal[1] = 1
    task: tuple[str, ...] = Field(description="Raw columns that name a task.")
    labels: dict[str, str] = Field(description="SQL of the labels; a task adapts to all of them.")
    numeric: tuple[NumericInput, ...]
    features: tuple[FeatureInput, ...]
    vocabularies: dict[str, VocabularyInput]
    dim: PositiveInt
    missing_key: int = NULL_KEY
    inputs: str = INPUTS
    transforms: str = TRANSFORMS
    keys: str = KEYS

    @property
    def columns(self) -> Schema:
        """The columns of step batches."""
        kinds = {kind: tuple(f for f in self.features if f.type == kind) for kind in ("categorical", "multi")}
        return Schema(
            categorical=tuple(_feature(f) for f in kinds["categorical"]),
            multi=tuple(_feature(f) for f in kinds["multi"]),
            numeric=tuple(each.name for each in self.numeric),
            labels=tuple(self.labels),
        )


def prepare_spec(card: Card) -> PrepareSpec:
    """How a dataset was made.

    Raises:
        DataError: its card does not tell.
    """
    try:
        return PrepareSpec.model_validate(card.provenance.spec)
    except ValidationError as error:
        raise DataError(
            f"dataset card: provenance.spec: {error.errors()[0]['msg']}; prepare the dataset again"
        ) from error


def signature_of(card: Card, tables: Mapping[str, Table], dim: int) -> Signature:
    """Describe the inputs of a model that was trained on a dataset.

    Raises:
        DataError: the dataset's card does not tell how it was made.
        CheckpointError: the commit has no table for a vocabulary of the dataset.
    """
    spec = prepare_spec(card)
    features = [*of_kind(spec, "categorical"), *of_kind(spec, "multi")]
    _require_tables([vocabulary_of(feature) for feature in features], tables)
    return Signature(
        task=spec.task,
        labels={label.name: label.rule for label in spec.labels},
        numeric=tuple(_numeric(feature, card) for feature in of_kind(spec, "numeric")),
        features=tuple(_row_feature(feature) for feature in features),
        vocabularies={name: _vocabulary(name, table) for name, table in tables.items()},
        dim=dim,
    )


def _require_tables(vocabularies: Sequence[str], tables: Mapping[str, Table]) -> None:
    for name in vocabularies:
        if name not in tables:
            raise CheckpointError(
                f"the commit has no table for the dataset's vocabulary '{name}' (it has {', '.join(tables) or 'none'}"
                "); give the dataset that the run was trained on"
            )


def _numeric(feature: FeatureSpec, card: Card) -> NumericInput:
    numbers: NumericCard = card.numeric[feature.name]
    prior = card.priors.get(feature.name)
    return NumericInput(
        name=feature.name,
        type=feature.type,
        column=feature.columns[0],
        transform=numbers.transform,
        mean=numbers.mean,
        std=numbers.std,
        prior=None if prior is None else prior.file.path,
    )


def _row_feature(feature: FeatureSpec) -> FeatureInput:
    return FeatureInput(
        name=feature.name,
        type=feature.type,
        columns=feature.columns,
        separator=feature.separator,
        vocabulary=vocabulary_of(feature),
    )


def _vocabulary(name: str, table: Table) -> VocabularyInput:
    rule = EXACT if table.vocabulary == "exact" else HASH
    return VocabularyInput(type=table.vocabulary, rows=table.rows, file=f"rows/{name}.parquet", rule=rule)


def _feature(feature: FeatureInput) -> Feature:
    return Feature(feature.name, feature.vocabulary)
