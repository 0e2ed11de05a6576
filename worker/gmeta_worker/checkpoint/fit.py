"""Whether a commit belongs to a job."""

from gmeta_api.document import JobIdentity
from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint.manifest import Layout
from gmeta_worker.checkpoint.reader import Commit


def require_same_job(commit: Commit, job: JobIdentity) -> None:
    """Raise CheckpointError when another job wrote the commit."""
    writer = commit.manifest.job
    if (writer.namespace, writer.name) != (job.namespace, job.name):
        raise CheckpointError(
            f"{commit.folder}: was written by job {writer.namespace}/{writer.name}, this job is "
            f"{job.namespace}/{job.name}; give each job its own spec.checkpoint.path"
        )


def require_same_layout(commit: Commit, layout: Layout) -> None:
    """Raise CheckpointError when the commit's tensors do not fit this job's."""
    if difference := commit.manifest.layout.difference(layout):
        raise CheckpointError(
            f"{commit.folder}: does not fit this job: {difference}; train the changed model under another "
            "spec.checkpoint.path"
        )
