"""The typed manifest: one module a group, all names importable from here."""

from gmeta_api.spec.base import Rule, SpecModel
from gmeta_api.spec.checkpoint import CheckpointSpec
from gmeta_api.spec.data import DataSpec, SupportSpec
from gmeta_api.spec.fault_tolerance import FailureRuleSpec, FaultToleranceSpec
from gmeta_api.spec.feature import FeatureSpec
from gmeta_api.spec.job import API_VERSION, GROUP, KIND, VERSION, Metadata, MetaTrainingJob, Spec
from gmeta_api.spec.kubernetes import EnvVar, ResourcesSpec, Toleration
from gmeta_api.spec.meta import AdaptSpec, InnerSpec, MetaSpec
from gmeta_api.spec.model import ModelSpec, NamedVocabularySpec, VocabularySpec
from gmeta_api.spec.optimizer import DenseOptimizerSpec, OptimizerSpec, ScheduleSpec, SparseOptimizerSpec
from gmeta_api.spec.parallelism import ParallelismSpec
from gmeta_api.spec.prepare import (
    JoinSpec,
    LabelSpec,
    PrepareSpec,
    SplitSpec,
    SupportOrderSpec,
    TaskRowsSpec,
)
from gmeta_api.spec.run_policy import RunPolicySpec
from gmeta_api.spec.scheduling import GangSpec, SchedulingSpec
from gmeta_api.spec.training import (
    EarlyStopSpec,
    EvaluationSpec,
    ExportSpec,
    InitFromSpec,
    MetaEmbeddingsSpec,
    PhaseSpec,
    TrainingSpec,
)
from gmeta_api.spec.volumes import VolumeSpec
from gmeta_api.spec.workers import CoordinatorSpec, WorkersSpec

__all__ = [
    "API_VERSION",
    "GROUP",
    "KIND",
    "VERSION",
    "AdaptSpec",
    "CheckpointSpec",
    "CoordinatorSpec",
    "DataSpec",
    "DenseOptimizerSpec",
    "EarlyStopSpec",
    "EnvVar",
    "EvaluationSpec",
    "ExportSpec",
    "FailureRuleSpec",
    "FaultToleranceSpec",
    "FeatureSpec",
    "GangSpec",
    "InitFromSpec",
    "InnerSpec",
    "JoinSpec",
    "LabelSpec",
    "MetaEmbeddingsSpec",
    "MetaSpec",
    "MetaTrainingJob",
    "Metadata",
    "ModelSpec",
    "NamedVocabularySpec",
    "OptimizerSpec",
    "ParallelismSpec",
    "PhaseSpec",
    "PrepareSpec",
    "ResourcesSpec",
    "Rule",
    "RunPolicySpec",
    "ScheduleSpec",
    "SchedulingSpec",
    "SparseOptimizerSpec",
    "Spec",
    "SpecModel",
    "SplitSpec",
    "SupportOrderSpec",
    "SupportSpec",
    "TaskRowsSpec",
    "Toleration",
    "TrainingSpec",
    "VocabularySpec",
    "VolumeSpec",
    "WorkersSpec",
]
