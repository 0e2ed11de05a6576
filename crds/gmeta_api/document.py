"""The job document: what every process of a job reads to know the job."""

from typing import Annotated

from pydantic import Field

from gmeta_api.spec import Spec, SpecModel


class JobIdentity(SpecModel):
    """Which job it is."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="Name of the job.")
    namespace: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="Namespace of the job.")
    uid: Annotated[str, Field(max_length=64)] = Field(
        default="", description="Identity that the cluster has given to the job; empty outside of one."
    )


class JobDocument(SpecModel):
    """The job as its processes see it: identity, attempt and the whole spec with its defaults."""

    job: JobIdentity = Field(description="Which job it is.")
    attempt: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Number of the group's start from a commit; fences out processes of former ones."
    )
    spec: Spec = Field(description="What the job should be.")

    def to_json(self) -> str:
        """The document as it is written to the file that GMETA_JOB names."""
        return self.model_dump_json(by_alias=True, exclude_none=True, indent=2)

    @classmethod
    def from_json(cls, text: str) -> "JobDocument":
        """Read what `to_json` wrote.

        Raises:
            pydantic.ValidationError: the text is not a job document; processes are only given checked ones.
        """
        return cls.model_validate_json(text)
