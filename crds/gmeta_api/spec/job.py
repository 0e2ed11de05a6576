"""The custom resource: MetaTrainingJob."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gmeta_api.spec.base import IMMUTABLE, ListMap, Rule, SpecModel
from gmeta_api.spec.checkpoint import CheckpointSpec
from gmeta_api.spec.data import DataSpec
from gmeta_api.spec.fault_tolerance import FaultToleranceSpec
from gmeta_api.spec.kubernetes import LabelKey, LabelValue
from gmeta_api.spec.meta import MetaSpec
from gmeta_api.spec.model import ModelSpec
from gmeta_api.spec.optimizer import OptimizerSpec
from gmeta_api.spec.parallelism import ParallelismSpec
from gmeta_api.spec.run_policy import RunPolicySpec
from gmeta_api.spec.scalars import DnsLabel
from gmeta_api.spec.scheduling import SchedulingSpec
from gmeta_api.spec.training import TrainingSpec
from gmeta_api.spec.volumes import VolumeSpec
from gmeta_api.spec.workers import CoordinatorSpec, WorkersSpec

GROUP = "gmeta.dev"
VERSION = "v1alpha1"
API_VERSION = "gmeta.dev/v1alpha1"
KIND = "MetaTrainingJob"

LONGEST_CHILD_SUFFIX = "-coordinator-99999"
"""Longest ending that an object of a job adds to the job's name: role and incarnation."""
MAX_NAME_LENGTH = 63 - len(LONGEST_CHILD_SUFFIX)
"""The children's names are DNS labels."""


def _of_exports(condition: str) -> str:
    """The CEL expression that a condition holds for `p`, where that is an export phase."""
    return f"!has(self.training.phases) || self.training.phases.all(p, !has(p.export) || {condition})"


class Spec(SpecModel):
    """What a job should be."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.volumes.exists(v, v.name == self.data.volume)",
            "must be the name of one of spec.volumes",
            "data.volume",
        ),
        Rule(
            "self.volumes.exists(v, v.name == self.checkpoint.volume)",
            "must be the name of one of spec.volumes",
            "checkpoint.volume",
        ),
        Rule(
            "self.volumes.all(v, v.name != self.checkpoint.volume || !has(v.persistentVolumeClaim)"
            " || !v.persistentVolumeClaim.readOnly)",
            "must be a volume that can be written; set readOnly of its claim to false",
            "checkpoint.volume",
        ),
        Rule(
            "!has(self.training.initFrom) || self.volumes.exists(v, v.name == self.training.initFrom.volume)",
            "must be the name of one of spec.volumes",
            "training.initFrom.volume",
        ),
        Rule(
            _of_exports("self.volumes.exists(v, v.name == p.export.volume)"),
            "the export's volume must be the name of one of spec.volumes",
            "training.phases",
        ),
        Rule(
            _of_exports(
                "self.volumes.all(v, v.name != p.export.volume || !has(v.persistentVolumeClaim)"
                " || !v.persistentVolumeClaim.readOnly)"
            ),
            "the export's volume must be one that can be written; set readOnly of its claim to false",
            "training.phases",
        ),
        Rule(
            _of_exports(
                "!has(p.export.metaEmbeddings) || self.volumes.exists(v, v.name == p.export.metaEmbeddings.volume)"
            ),
            "the volume of metaEmbeddings must be the name of one of spec.volumes",
            "training.phases",
        ),
        Rule(
            "!has(self.data.prepare)"
            " || self.training.labelWeights.all(name, self.data.prepare.labels.exists(l, l.name == name))",
            "must name labels of data.prepare.labels",
            "training.labelWeights",
        ),
        Rule(
            "self.scheduling.gang.scheduler != 'kueue' || oldSelf.runPolicy.suspend"
            " || self.workers.replicas == oldSelf.workers.replicas",
            "the number of pods that Kueue has admitted stays; set runPolicy.suspend, change replicas, then resume",
            "workers.replicas",
        ),
        Rule(
            "self.scheduling.gang.scheduler != 'kueue' || oldSelf.runPolicy.suspend"
            " || !has(self.scheduling.queue) || !has(oldSelf.scheduling.queue)"
            " || self.scheduling.queue == oldSelf.scheduling.queue",
            "the queue that has admitted the pods stays; set runPolicy.suspend, change the queue, then resume",
            "scheduling.queue",
        ),
    )

    volumes: Annotated[tuple[VolumeSpec, ...], Field(min_length=1, max_length=16), ListMap("name"), IMMUTABLE] = Field(
        description="Places that hold data and checkpoints."
    )
    data: Annotated[DataSpec, IMMUTABLE] = Field(description="The dataset and how training reads it.")
    model: Annotated[ModelSpec, IMMUTABLE] = Field(
        default=ModelSpec(), description="The model: its class, sizes and vocabularies."
    )
    meta: Annotated[MetaSpec, IMMUTABLE] = Field(
        default=MetaSpec(), description="The meta-learning algorithm: the loops and what adapts."
    )
    optimizer: Annotated[OptimizerSpec, IMMUTABLE] = Field(
        default=OptimizerSpec(), description="The outer optimisers, dense and sparse apart."
    )
    training: TrainingSpec = Field(
        default=TrainingSpec(epochs=10), description="The run: its length, the size of a step, evaluation, early stop."
    )
    checkpoint: CheckpointSpec = Field(description="Where and how often progress is committed.")
    coordinator: CoordinatorSpec = Field(default=CoordinatorSpec(), description="The coordinator's pod.")
    workers: WorkersSpec = Field(default=WorkersSpec(), description="The worker pods.")
    parallelism: ParallelismSpec = Field(
        default=ParallelismSpec(), description="How the model is laid out over many ranks."
    )
    fault_tolerance: FaultToleranceSpec = Field(
        default=FaultToleranceSpec(), description="What happens when processes, pods or nodes fail."
    )
    run_policy: RunPolicySpec = Field(
        default=RunPolicySpec(), description="When the job runs, how long, and what is left of it."
    )
    scheduling: SchedulingSpec = Field(
        default=SchedulingSpec(), description="How the cluster's schedulers see the job."
    )

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Those of the training phases in order, or the job's one; evaluation and delivery go by the last."""
        own = tuple(phase.algorithm for phase in self.training.trained_phases if phase.algorithm is not None)
        return own or (self.meta.algorithm,)


class Metadata(SpecModel):
    """The part of an object's metadata that a manifest states."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="Name of the job, unique in its namespace."
    )
    namespace: DnsLabel = Field(default="default", description="Namespace of the job.")
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=64)] = Field(
        default={}, description="Labels of the job."
    )
    annotations: Annotated[dict[LabelKey, Annotated[str, Field(max_length=262_144)]], Field(max_length=64)] = Field(
        default={}, description="Annotations of the job."
    )
    uid: Annotated[str, Field(max_length=64)] = Field(
        default="", description="Identity that the cluster has given to the job; empty outside of one."
    )


class MetaTrainingJob(SpecModel):
    """One training run of a meta-learned recommender."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"self.metadata.name.matches('^[a-z]([-a-z0-9]{{0,{MAX_NAME_LENGTH - 2}}}[a-z0-9])?$')",
            f"must be a DNS label of at most {MAX_NAME_LENGTH} characters that starts with a letter: pods and services"
            " of the job add a suffix to it",
            "metadata.name",
        ),
    )

    api_version: Literal["gmeta.dev/v1alpha1"] = Field(description="Group and version of this kind of object.")
    kind: Literal["MetaTrainingJob"] = Field(description="Kind of this object.")
    metadata: Metadata = Field(description="Name and labels of the job.")
    spec: Spec = Field(description="What the job should be.")
