"""The export phase of a job: what it has trained, or another run, as an export on a volume."""

from pathlib import Path

from gmeta_api.spec import ExportSpec
from gmeta_worker.checkpoint import delivered
from gmeta_worker.checkpoint.object_path import Folder
from gmeta_worker.coordination.client import CoordinatorClient
from gmeta_worker.coordination.messages import Export
from gmeta_worker.metaio import Dataset
from gmeta_worker.runtime import Runtime
from gmeta_worker.serving.export import require_free, write_export
from gmeta_worker.training.supported import EXPORT_VOLUME, SUPPORT_VOLUME


def check_place(runtime: Runtime, wanted: ExportSpec) -> None:
    """Let the job export to its place, so that nothing is trained in vain.

    Raises:
        DataError: there is something that is no export.
    """
    require_free(_out(runtime, wanted), overwrite=True)


def export_delivered(runtime: Runtime, client: CoordinatorClient, wanted: ExportSpec, generation: int) -> str:
    """Export what the job delivers, and tell the coordinator of the begin and the end; what was done, in words.

    Args:
        runtime: the job; what it has trained is committed.
        client: of its coordinator.
        wanted: where to.
        generation: of the round that this process, rank 0, is in.

    Raises:
        GMetaError: as write_export does; an older export is as it was.
        CoordinationError: the coordinator cannot be reached, or has given this process's place to another.
    """
    commit = delivered(_source(runtime))
    step = commit.manifest.step
    told = Export(
        attempt=runtime.document.attempt,
        generation=generation,
        rank=0,
        volume=wanted.volume,
        path=wanted.path,
        step=step,
    )
    client.export(told)
    support = _support(runtime, wanted)
    dataset = Dataset.open(runtime.dataset_folder)
    manifest = write_export(commit.folder, dataset, _out(runtime, wanted), overwrite=True, support=support)
    client.export(told.model_copy(update={"created": manifest.created}))
    return f"step {step} is exported to {wanted.path} of volume {wanted.volume}"


def _source(runtime: Runtime) -> Folder:
    """The run that is exported: the job's own, or the one that it names where it trains nothing."""
    if runtime.document.spec.training.trains:
        return runtime.run_folder
    assert runtime.origin_folder is not None, "a rule of the manifest holds this"
    return runtime.origin_folder


def _out(runtime: Runtime, wanted: ExportSpec) -> Path:
    return runtime.local_folder(wanted.volume, EXPORT_VOLUME) / wanted.path


def _support(runtime: Runtime, wanted: ExportSpec) -> Path | None:
    asked = wanted.meta_embeddings
    return None if asked is None else runtime.local_folder(asked.volume, SUPPORT_VOLUME) / asked.support
