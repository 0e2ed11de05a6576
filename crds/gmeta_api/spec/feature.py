"""A feature of the dataset: columns of the source, or statistics of the training rows."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gmeta_api.spec.base import Rule, SpecModel
from gmeta_api.spec.scalars import ColumnName, Identifier

DEFAULT_FOLDS = 5
DEFAULT_SHRINKAGE = 20.0


class FeatureSpec(SpecModel):
    """A feature of the dataset."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.type == 'multi' || self.columns.size() == 1",
            "only a multi feature has several columns; give one, or use type multi",
            "columns",
        ),
        Rule(
            "self.type in ['categorical', 'multi'] || !has(self.vocabulary)",
            "only a categorical or multi feature has a vocabulary; remove it or use type categorical",
            "vocabulary",
        ),
        Rule(
            "!has(self.separator) || (self.type == 'multi' && self.columns.size() == 1)",
            "a separator belongs to a multi feature with one column",
            "separator",
        ),
        Rule(
            "self.type in ['numeric', 'rate', 'count'] || self.transform == 'none'",
            "only a numeric, rate or count feature has a transform",
            "transform",
        ),
        Rule(
            "!(self.type in ['rate', 'count']) || self.transform != 'log1p'",
            "a rate or count is a logarithm already; use standardize, or none",
            "transform",
        ),
        Rule(
            "self.type == 'rate' || !has(self.label)",
            "only a rate feature has a label; remove it or use type rate",
            "label",
        ),
        Rule(
            "self.type in ['rate', 'count'] || !has(self.folds)",
            "only a rate or count feature has folds; remove them or use type rate or count",
            "folds",
        ),
        Rule(
            "self.type == 'rate' || !has(self.shrinkage)",
            "only a rate feature has a shrinkage; remove it or use type rate",
            "shrinkage",
        ),
    )

    name: Identifier = Field(description="Name of the feature in the dataset and in the model.")
    type: Literal["categorical", "multi", "numeric", "rate", "count"] = Field(
        description="categorical: one value a row; multi: any number of values a row, pooled; numeric: a number; "
        "rate: log odds of the value's positive rate among other training tasks, less those of all their rows; "
        "count: logarithm of 1 + the training rows with the value, of other tasks."
    )
    columns: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=256)] = Field(
        description="Source columns, or SQL expressions over them; only a multi feature has more than one."
    )
    separator: Annotated[str, Field(min_length=1, max_length=8)] | None = Field(
        default=None, description="Text between the values of a multi feature that is one text column."
    )
    vocabulary: Identifier | None = Field(
        default=None, description="Feature whose vocabulary, and thus embedding table, this one shares; else its own."
    )
    transform: Literal["none", "log1p", "standardize"] = Field(
        default="none",
        description="Transform of a numeric, rate or count feature; standardize uses mean and deviation of the "
        "training rows.",
    )
    label: Identifier | None = Field(
        default=None, description="Label whose positive rate a rate feature is; else the first."
    )
    folds: Annotated[int, Field(ge=2, le=100)] | None = Field(
        default=None,
        description="Folds of the training tasks of a rate or count: a training row gets the figures of the other "
        f"folds' tasks; else {DEFAULT_FOLDS}.",
    )
    shrinkage: Annotated[float, Field(ge=0.01, le=1_000_000)] | None = Field(
        default=None,
        description="Rows with the rate of all rows that are added to each value of a rate feature, so that a rare "
        f"value stays near 0; else {DEFAULT_SHRINKAGE:g}.",
    )
