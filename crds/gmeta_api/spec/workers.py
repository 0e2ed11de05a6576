"""The pods of a job: the coordinator and the workers."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from gmeta_api.spec import patterns
from gmeta_api.spec.base import ListMap, Rule, SpecModel
from gmeta_api.spec.kubernetes import EnvVar, LabelKey, LabelValue, LocalObjectReference, ResourcesSpec, Toleration

MAX_WORKERS = 1024

Replicas = Annotated[int, Field(ge=1, le=MAX_WORKERS)]


class CoordinatorSpec(SpecModel):
    """The coordinator's pod."""

    resources: ResourcesSpec = Field(default=ResourcesSpec(), description="Compute resources of the coordinator.")


class WorkersSpec(SpecModel):
    """The worker pods."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.minReplicas) || self.minReplicas <= self.replicas",
            "must not be above replicas",
            "minReplicas",
        ),
        Rule(
            "!has(self.maxReplicas) || self.replicas <= self.maxReplicas",
            "must not be below replicas",
            "maxReplicas",
        ),
    )

    replicas: Replicas = Field(default=1, description="Worker pods that the job should have.")
    min_replicas: Replicas | None = Field(
        default=None, description="Fewest worker pods that training goes on with; else as many as replicas."
    )
    max_replicas: Replicas | None = Field(
        default=None, description="Most worker pods that replicas may be raised to while the job runs."
    )
    processes_per_worker: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="Training processes (ranks) of a pod, usually one for each of its GPUs."
    )
    image: Annotated[str, Field(min_length=1, max_length=512, pattern=patterns.IMAGE)] | None = Field(
        default=None, description="Container image with the worker and your own classes; else the operator's default."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, description="When the image is pulled; else Kubernetes' default for its tag."
    )
    image_pull_secrets: Annotated[tuple[LocalObjectReference, ...], Field(max_length=16), ListMap("name")] = Field(
        default=(), description="Secrets for the image's registry."
    )
    resources: ResourcesSpec = Field(default=ResourcesSpec(), description="Compute resources of a worker.")
    env: Annotated[tuple[EnvVar, ...], Field(max_length=64), ListMap("name")] = Field(
        default=(), description="Environment variables of the processes, such as OMP_NUM_THREADS."
    )
    node_selector: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] = Field(
        default={}, description="Labels that a node must have."
    )
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = Field(
        default=(), description="Node taints that the pods tolerate."
    )
    object_store_secrets: Annotated[tuple[LocalObjectReference, ...], Field(max_length=16), ListMap("name")] = Field(
        default=(), description="Secrets whose keys become environment variables, for access to object stores."
    )
    pod_template: dict[str, JsonValue] = Field(
        default={},
        description="Overlay on the worker pods (metadata and spec of a pod); the operator allows a list of fields.",
    )
