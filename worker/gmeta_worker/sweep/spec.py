"""The sweep manifest: what is searched, how long, and by which measure. Words that Optuna has are Optuna's."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from gmeta_api.spec.base import ListMap, Rule, SpecModel
from gmeta_api.spec.scalars import Seed

Measure = Literal["auc", "gauc", "loss"]
Bound = Annotated[float, Field(ge=-1e15, le=1e15)]
"""An end of a distribution; whole numbers of this size are exact."""


class ParameterSpec(SpecModel):
    """One field of the job that is searched, and its distribution."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.type == 'categorical' ? has(self.choices) && !has(self.low) && !has(self.high) && !self.log"
            " : !has(self.choices) && has(self.low) && has(self.high)",
            "float and int take low, high and log; categorical takes choices",
        ),
        Rule("!has(self.low) || !has(self.high) || self.low < self.high", "must be above low", "high"),
        Rule("!self.log || !has(self.low) || self.low > 0.0", "must be above 0 where log is true", "low"),
        Rule(
            "self.type != 'int' || !has(self.low) || double(int(self.low)) == self.low",
            "must be a whole number where type is int",
            "low",
        ),
        Rule(
            "self.type != 'int' || !has(self.high) || double(int(self.high)) == self.high",
            "must be a whole number where type is int",
            "high",
        ),
    )

    path: Annotated[
        str,
        Field(min_length=1, max_length=512),
        Rule(
            r"self.matches('^spec[.]') && "
            r"!self.matches('^spec[.](volumes|checkpoint|data[.](volume|path|prepare)|training[.]evaluation)([.\\[]|$)')",
            "must be below spec, and not in volumes, checkpoint, data.volume, data.path, data.prepare or "
            "training.evaluation: all trials share the dataset and are scored alike",
        ),
    ] = Field(description="Field of the job, as --set spells it.")
    type: Literal["float", "int", "categorical"] = Field(description="Kind of distribution.")
    low: Bound | None = Field(default=None, description="Least value.")
    high: Bound | None = Field(default=None, description="Greatest value, itself included.")
    log: bool = Field(default=False, description="Whether the logarithm is drawn evenly, rather than the value.")
    choices: Annotated[tuple[JsonValue, ...], Field(min_length=2, max_length=64)] | None = Field(
        default=None, description="Values of a categorical parameter."
    )


class SweepSpec(SpecModel):
    """A search for the settings of a job that are best on its valid tasks."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule("self.space.all(p, !(p.path in self.fixed))", "a path is in space too; leave it out of one", "fixed"),
    )

    job: Annotated[str, Field(min_length=1, max_length=512)] = Field(
        description="Manifest of the job, relative to this file."
    )
    metric: Measure = Field(default="auc", description="Adapted metric that is searched for: loss falls, others rise.")
    shot: Annotated[int, Field(ge=0, le=65536)] | None = Field(
        default=None, description="Shot at which it is taken; else the mean over the job's evaluation.shots."
    )
    trials: Annotated[int, Field(ge=1, le=100_000)] = Field(default=40, description="Trials in all.")
    seed: Seed = Field(default=0, description="Seed of the sampler; the job has its own.")
    sampler: Literal["tpe", "random"] = Field(default="tpe", description="How the next parameters are drawn.")
    startup_trials: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default=10, description="Trials that TPE draws at random before it goes by their values."
    )
    pruner: Literal["median", "none"] = Field(
        default="median", description="Whether a trial ends that is worse than the median of the others at that time."
    )
    fixed: dict[str, JsonValue] = Field(default={}, description="Other settings of every trial: path to value.")
    space: Annotated[tuple[ParameterSpec, ...], Field(min_length=1, max_length=64), ListMap("path")] = Field(
        description="What is searched."
    )

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Where better values are."""
        return "minimize" if self.metric == "loss" else "maximize"
