"""Named places that hold data and checkpoints."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gmeta_api.spec import patterns
from gmeta_api.spec.base import Rule, SpecModel
from gmeta_api.spec.kubernetes import Quantity
from gmeta_api.spec.scalars import DnsLabel, DnsSubdomain


class PersistentVolumeClaimSource(SpecModel):
    """An existing claim, mounted into every pod of the job."""

    claim_name: DnsSubdomain = Field(description="Name of the PersistentVolumeClaim in the job's namespace.")
    read_only: bool = Field(default=False, description="Whether the claim is mounted read-only.")


class EmptyDirSource(SpecModel):
    """Scratch space of a pod; it is lost with the pod and not shared between pods."""

    medium: Literal["", "Memory"] = Field(
        default="", description="Storage medium: empty for the node's disk, Memory for a tmpfs."
    )
    size_limit: Quantity | None = Field(
        default=None, description="Largest size of the directory as a Kubernetes quantity, such as 20Gi."
    )


class ObjectStoreSource(SpecModel):
    """A prefix in an object store."""

    uri: Annotated[str, Field(max_length=1024, pattern=patterns.OBJECT_STORE_URI)] = Field(
        description="Bucket and prefix, such as s3://bucket/prefix (schemes s3, gs and az)."
    )
    endpoint: Annotated[str, Field(max_length=1024, pattern=patterns.URL)] | None = Field(
        default=None, description="Address of the store where it is not the provider's public one."
    )
    credentials_secret: DnsSubdomain | None = Field(
        default=None, description="Secret in the job's namespace whose keys become the store's environment variables."
    )


class VolumeSpec(SpecModel):
    """A named place: a claim, scratch space or an object store."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.persistentVolumeClaim) ? 1 : 0) + (has(self.emptyDir) ? 1 : 0)"
            " + (has(self.objectStore) ? 1 : 0) == 1",
            "set exactly one of persistentVolumeClaim, emptyDir and objectStore",
        ),
    )

    name: DnsLabel = Field(description="Name that data.volume and checkpoint.volume refer to; unique in the job.")
    persistent_volume_claim: PersistentVolumeClaimSource | None = Field(
        default=None, description="The volume is an existing PersistentVolumeClaim."
    )
    empty_dir: EmptyDirSource | None = Field(
        default=None, description="The volume is scratch space that every pod has for itself."
    )
    object_store: ObjectStoreSource | None = Field(
        default=None, description="The volume is a prefix in an object store."
    )
