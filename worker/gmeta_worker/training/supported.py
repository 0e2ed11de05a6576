"""What the API has words for and this version of the worker cannot do yet: refused by name, never silently ignored."""

from collections.abc import Iterator

from gmeta_api.errors import ManifestError, Problem
from gmeta_api.spec import Spec


def check_supported(spec: Spec) -> None:
    """Raise ManifestError with every field of `spec` that this version cannot honour."""
    problems = list(_unsupported(spec))
    if problems:
        raise ManifestError(problems)


def _unsupported(spec: Spec) -> Iterator[Problem]:
    if spec.training.precision != "float32":
        yield _problem("spec.training.precision", spec.training.precision, "float32")
    if any(volume.object_store and volume.name == spec.data.volume for volume in spec.volumes):
        yield _problem(
            "spec.data.volume", "an object store", "folders for data; use a claim, and copy the dataset to it"
        )


def _problem(path: str, received: object, supported: str) -> Problem:
    return Problem(path, f"{received} is valid, but this version of the worker supports only {supported}")
