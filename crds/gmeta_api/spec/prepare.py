"""How raw ratings or impressions become a Meta-IO dataset."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gmeta_api.spec.base import ListMap, Rule, SpecModel
from gmeta_api.spec.feature import FeatureSpec
from gmeta_api.spec.scalars import ColumnName, Identifier, RelativePath, Seed, SqlExpression

Fraction = Annotated[float, Field(ge=0, le=1)]


class JoinSpec(SpecModel):
    """A left join of a side table."""

    source: RelativePath = Field(description="File of the side table, relative to the volume.")
    # SQL's word for equally named columns; kubectl's YAML 1.1 reads a key `on` as the boolean true.
    on: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=8)] = Field(
        alias="using", description="Columns that both tables have; together they are unique in the side table."
    )


class LabelSpec(SpecModel):
    """A label, computed from the source's columns."""

    name: Identifier = Field(description="Name of the label in the dataset.")
    rule: SqlExpression = Field(
        description="SQL expression that is true or 1, false or 0, or null, where null leaves the row out."
    )


class SupportOrderSpec(SpecModel):
    """The order of a task's rows; its first rows are the ones that support sets are cut from."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.by == 'seed' || has(self.column)",
            "ordering by time or by column needs a column",
            "column",
        ),
        Rule(
            "self.by != 'seed' || !has(self.column)",
            "ordering by seed uses no column; remove it or set by to time or column",
            "column",
        ),
    )

    by: Literal["seed", "time", "column"] = Field(
        default="seed",
        description="seed: a seeded shuffle; time: ascending, no row without a time; column: ascending, "
        "rows without a value are never support.",
    )
    column: SqlExpression | None = Field(
        default=None, description="Column or SQL expression to order by; with by time or column only."
    )


class TaskRowsSpec(SpecModel):
    """Bounds of a task's size."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (Rule("self.min <= self.max", "must not be above max", "min"),)

    min: Annotated[int, Field(ge=2, le=1_000_000)] = Field(
        default=2, description="Tasks with fewer rows are dropped and counted on the dataset's card."
    )
    max: Annotated[int, Field(ge=2, le=1_000_000)] = Field(
        default=65536, description="Tasks with more rows become several tasks of the index."
    )


class SplitSpec(SpecModel):
    """Which rows are for training, validation and test."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.by != 'task' || (has(self.train) && has(self.valid) && has(self.test))",
            "a split by task needs the fractions train, valid and test",
        ),
        Rule(
            "!has(self.train) || !has(self.valid) || !has(self.test) || (self.train + self.valid + self.test > 0.999999"
            " && self.train + self.valid + self.test < 1.000001)",
            "the fractions train, valid and test must add up to 1",
        ),
        Rule("self.by != 'column' || has(self.column)", "a split by column needs the column", "column"),
        Rule(
            "self.by != 'task' || !has(self.column)",
            "a split by task uses no column; remove it or set by to column",
            "column",
        ),
        Rule(
            "self.by != 'column' || (!has(self.train) && !has(self.valid) && !has(self.test))",
            "a split by column has no fractions; remove train, valid and test",
        ),
    )

    by: Literal["task", "column"] = Field(
        default="task",
        description="task: whole tasks, drawn by the seed; column: the values train, valid and test of a column.",
    )
    train: Fraction | None = Field(default=None, description="Fraction of the tasks that train.")
    valid: Fraction | None = Field(default=None, description="Fraction of the tasks that validate.")
    test: Fraction | None = Field(default=None, description="Fraction of the tasks that test.")
    column: ColumnName | None = Field(
        default=None,
        description="Column with train, valid or test; a row with null or an empty value is left out and counted.",
    )


class PrepareSpec(SpecModel):
    """How raw ratings or impressions become a Meta-IO dataset; `gmeta prepare` does it."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.features.all(f, !has(f.vocabulary) || self.features.exists(g, g.name == f.vocabulary))",
            "a feature's vocabulary must name a feature of this list",
            "features",
        ),
        Rule(
            "self.features.all(f, !has(f.vocabulary)"
            " || self.features.all(g, g.name != f.vocabulary"
            " || (g.type in ['categorical', 'multi'] && !has(g.vocabulary))))",
            "a shared vocabulary must be that of a categorical or multi feature which names no other",
            "features",
        ),
        Rule(
            "self.features.all(f, !has(f.label) || self.labels.exists(l, l.name == f.label))",
            "a rate feature's label must name one of labels",
            "features",
        ),
        Rule(
            "!has(self.delimiter) || self.format != 'parquet'",
            "a delimiter belongs to csv; remove it or change format",
            "delimiter",
        ),
    )

    source: RelativePath = Field(
        description="File or files with a row per rating or impression, relative to the volume; a glob is allowed "
        "(csv, csv.gz, tsv, parquet)."
    )
    format: Literal["auto", "csv", "parquet"] = Field(
        default="auto", description="Format of the source; auto goes by the file name."
    )
    delimiter: Annotated[str, Field(min_length=1, max_length=4)] | None = Field(
        default=None, description="Text between the columns of a csv source; else a comma, or a tab for tsv."
    )
    joins: Annotated[tuple[JoinSpec, ...], Field(max_length=16)] = Field(
        default=(), description="Side tables, joined from the left in this order."
    )
    task: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=8)] = Field(
        description="Columns whose values together name a task, such as user_id."
    )
    labels: Annotated[tuple[LabelSpec, ...], Field(min_length=1, max_length=16), ListMap("name")] = Field(
        description="Labels of a row, all learned together; early stopping and progress go by the first. A row may "
        "lack some of them; one that lacks all is left out."
    )
    features: Annotated[tuple[FeatureSpec, ...], Field(min_length=1, max_length=256), ListMap("name")] = Field(
        description="Features of a row, in the order in which the model sees them."
    )
    support_order: SupportOrderSpec = Field(
        default=SupportOrderSpec(), description="Order of a task's rows, from which support sets are cut."
    )
    task_rows: TaskRowsSpec = Field(default=TaskRowsSpec(), description="Bounds of a task's size.")
    split: SplitSpec = Field(
        default=SplitSpec(by="task", train=0.8, valid=0.1, test=0.1),
        description="Which rows are for training, validation and test.",
    )
    chunk_rows: Annotated[int, Field(ge=1, le=16_777_216)] = Field(
        default=65536, description="Rows of a chunk, the unit of reading."
    )
    seed: Seed = Field(default=0, description="Seed of the shuffles of tasks and rows.")
