"""What the API has words for and this version of the worker cannot do yet: refused by name, never silently ignored."""

from collections.abc import Iterator

from gmeta_api.errors import ManifestError, Problem
from gmeta_api.spec import Spec

EXPORT_VOLUME = "spec.training.phases: export.volume"
SUPPORT_VOLUME = "spec.training.phases: export.metaEmbeddings.volume"


def check_supported(spec: Spec) -> None:
    """Raise ManifestError with every field of `spec` that this version cannot honour."""
    problems = list(_unsupported(spec))
    if problems:
        raise ManifestError(problems)


def _unsupported(spec: Spec) -> Iterator[Problem]:
    yield from _object_stores(spec)


def _object_stores(spec: Spec) -> Iterator[Problem]:
    """Where a folder is needed and a volume is none."""
    stores = {volume.name for volume in spec.volumes if volume.object_store}
    if spec.data.volume in stores:
        yield _problem(
            "spec.data.volume", "an object store", "folders for data; use a claim, and copy the dataset to it"
        )
    export = spec.training.export
    if export is not None and export.volume in stores:
        yield _problem(EXPORT_VOLUME, "an object store", "folders for exports; use a claim")
    if export is not None and export.meta_embeddings is not None and export.meta_embeddings.volume in stores:
        yield _problem(SUPPORT_VOLUME, "an object store", "folders for data; use a claim, and copy the support to it")


def _problem(path: str, received: object, supported: str) -> Problem:
    return Problem(path, f"{received} is valid, but this version of the worker supports only {supported}")
