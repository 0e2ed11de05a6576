"""The run: length, size of a step, evaluation and early stop."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gmeta_api.spec.base import IMMUTABLE, ListMap, Rule, SpecModel
from gmeta_api.spec.meta import AlgorithmType
from gmeta_api.spec.scalars import DnsLabel, EpochCount, Identifier, RelativePath, Seed, StepCount

SplitName = Literal["train", "valid", "test"]
Shots = Annotated[int, Field(ge=0, le=65536)]


class EvaluationSpec(SpecModel):
    """When and on what the model is evaluated, adapted and un-adapted."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.everyEpochs) != has(self.everySteps)", "set exactly one of everyEpochs and everySteps"),
    )

    split: SplitName = Field(default="valid", description="Split that is evaluated during training.")
    every_epochs: EpochCount | None = Field(
        default=None, description="Epochs between evaluations; either this or everySteps."
    )
    every_steps: StepCount | None = Field(
        default=None, description="Steps between evaluations; either this or everyEpochs."
    )
    shots: Annotated[tuple[Shots, ...], Field(min_length=1, max_length=32)] = Field(
        default=(1, 5, 10, 30), description="Support sizes that are evaluated."
    )
    final_shots: Annotated[tuple[Shots, ...], Field(max_length=32)] = Field(
        default=(), description="Support sizes of the evaluation after the last step; else those of shots."
    )
    final_split: SplitName = Field(default="test", description="Split that is evaluated after the last step.")


class EarlyStopSpec(SpecModel):
    """When training ends before its time."""

    metric: Literal["auc", "gauc", "loss"] = Field(
        default="auc", description="Adapted metric that has to improve: auc and gauc rise, loss falls."
    )
    patience: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=3, description="Evaluations without an improvement after which training ends."
    )
    min_delta: Annotated[float, Field(ge=0, le=1000)] = Field(
        default=0.0, description="Smallest change of the metric that counts as an improvement."
    )


class InitFromSpec(SpecModel):
    """A commit of another run that training starts from."""

    volume: DnsLabel = Field(description="Volume that holds the other run.")
    path: RelativePath = Field(description="Folder of the other run, relative to the volume.")
    optimizer: bool = Field(default=False, description="Whether the optimisers' state is taken over too.")


class PhaseSpec(SpecModel):
    """A part of the run with its own algorithm."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.epochs) != has(self.steps)", "set exactly one of epochs and steps"),
    )

    name: Identifier = Field(description="Name of the phase, unique in the run.")
    algorithm: AlgorithmType = Field(description="Algorithm of the phase.")
    epochs: EpochCount | None = Field(default=None, description="Length in epochs; either this or steps.")
    steps: StepCount | None = Field(default=None, description="Length in steps; either this or epochs.")


class TrainingSpec(SpecModel):
    """The run."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.epochs) ? 1 : 0) + (has(self.steps) ? 1 : 0) + (has(self.phases) ? 1 : 0) == 1",
            "set exactly one of epochs, steps and phases",
        ),
    )

    epochs: EpochCount | None = Field(
        default=None, description="Length in passes over the training tasks; either this, steps or phases."
    )
    steps: StepCount | None = Field(default=None, description="Length in steps; either this, epochs or phases.")
    phases: Annotated[tuple[PhaseSpec, ...], Field(min_length=1, max_length=16), ListMap("name")] | None = Field(
        default=None, description="Parts of the run, one after the other; either this, epochs or steps."
    )
    tasks_per_step: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=32, description="Task batches of a step over all ranks, whatever the world size."
    )
    label_weights: Annotated[dict[Identifier, Annotated[float, Field(ge=0, le=1_000_000)]], Field(max_length=16)] = (
        Field(
            default={},
            description="What a label counts in losses, by name; 1 where it is not named, 0 to score but not learn it.",
        )
    )
    evaluation: EvaluationSpec = Field(
        default=EvaluationSpec(every_epochs=1), description="When and on what the model is evaluated."
    )
    early_stop: EarlyStopSpec | None = Field(
        default=None, description="When training ends before its time; else it never does."
    )
    init_from: InitFromSpec | None = Field(
        default=None, description="Commit of another run to start from; else from freshly drawn weights."
    )
    seed: Annotated[Seed, IMMUTABLE] = Field(default=0, description="Seed of weights, order and support sizes.")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="Number format of the dense layers' arithmetic."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where the model is trained; auto takes the GPU where there is one."
    )
