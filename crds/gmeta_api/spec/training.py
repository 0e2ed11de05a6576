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


class MetaEmbeddingsSpec(SpecModel):
    """Support rows of tasks whose meta embeddings are exported with the model."""

    volume: DnsLabel = Field(description="Volume that holds the support rows.")
    support: RelativePath = Field(
        description="CSV, TSV or Parquet file of labelled rows, as `gmeta adapt` reads it, relative to the volume."
    )


class ExportSpec(SpecModel):
    """Writing what the run delivers, its best commit or else its newest, for production."""

    volume: DnsLabel = Field(description="Volume that the export goes to.")
    path: RelativePath = Field(description="Folder of the export, relative to the volume; an older export is replaced.")
    meta_embeddings: MetaEmbeddingsSpec | None = Field(
        default=None, description="Tasks whose meta embeddings are exported too; else none are."
    )


class PhaseSpec(SpecModel):
    """A part of the run: training with its own algorithm, or the export at the end."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.algorithm) != has(self.export)", "set exactly one of algorithm and export"),
        Rule(
            "!has(self.algorithm) || has(self.epochs) != has(self.steps)",
            "set exactly one of epochs and steps",
        ),
        Rule(
            "!has(self.export) || !(has(self.epochs) || has(self.steps))",
            "an export has no length; remove epochs and steps",
        ),
    )

    name: Identifier = Field(description="Name of the phase, unique in the run.")
    algorithm: AlgorithmType | None = Field(
        default=None, description="Algorithm that is trained in the phase; either this or export."
    )
    epochs: EpochCount | None = Field(default=None, description="Length in epochs; either this or steps.")
    steps: StepCount | None = Field(default=None, description="Length in steps; either this or epochs.")
    export: ExportSpec | None = Field(
        default=None,
        description="Export of what the phases before have trained, or of initFrom where there are none; the last "
        "phase only.",
    )


class TrainingSpec(SpecModel):
    """The run."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.epochs) ? 1 : 0) + (has(self.steps) ? 1 : 0) + (has(self.phases) ? 1 : 0) == 1",
            "set exactly one of epochs, steps and phases",
        ),
        Rule(
            "!has(self.phases)"
            " || self.phases.all(p, !has(p.export) || p.name == self.phases[size(self.phases) - 1].name)",
            "only the last phase may be an export",
            "phases",
        ),
        Rule(
            "!has(self.phases) || self.phases.exists(p, !has(p.export)) || has(self.initFrom)",
            "a job that only exports has nothing trained; add a phase with an algorithm before the export, or set "
            "initFrom to the run that is exported",
            "phases",
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
        default="float32",
        description="Number format of the forward passes of training; weights and evaluation stay float32.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where the model is trained; auto takes the GPU where there is one."
    )

    @property
    def trained_phases(self) -> tuple[PhaseSpec, ...]:
        """The phases that train; none where the job has one algorithm, or only exports."""
        return tuple(phase for phase in self.phases or () if phase.export is None)

    @property
    def export(self) -> ExportSpec | None:
        """What is done once everything is trained."""
        return None if self.phases is None else self.phases[-1].export

    @property
    def trains(self) -> bool:
        """Whether there is anything to train: a job may only export another run."""
        return self.phases is None or bool(self.trained_phases)
