"""`export.json`: the file whose presence makes a folder an export, with the checksums of all others."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, JsonValue, NonNegativeInt, ValidationError

from gmeta_api.document import JobIdentity
from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint.manifest import Score
from gmeta_worker.checkpoint.record import Record

NAME = "export.json"
DENSE, GRAPH, SIGNATURE, RECIPE, CARD = (
    "dense.safetensors",
    "model.pt2",
    "signature.json",
    "adapt.json",
    "MODEL_CARD.md",
)
EMBEDDINGS = "meta_embeddings.parquet"
REMEDY = "run `gmeta export` again"

AnyRecord = TypeVar("AnyRecord", bound=Record)


class ExportedFile(Record):
    """A file of the export."""

    path: str = Field(description="Relative to the export's folder.")
    bytes: NonNegativeInt
    sha256: str = Field(description="Of the whole file, hexadecimal, as sha256sum prints it.")


class ExportManifest(Record):
    """What was exported, from where, and when."""

    format: Literal[1] = Field(default=1, description="Version of this format.")
    created: datetime = Field(description="When the export was made, UTC.")
    created_seconds: float = Field(description="The same in seconds since 1970: now minus this is the export's age.")
    job: JobIdentity
    attempt: NonNegativeInt
    step: NonNegativeInt = Field(description="Global step of the commit.")
    evaluation: Score | None = Field(description="What the commit was chosen by; null if it was not evaluated.")
    dataset: str = Field(description="Digest of the dataset that the signature is of.")
    spec: dict[str, JsonValue] = Field(description="The job's spec.")
    prepare: dict[str, JsonValue] = Field(description="How the dataset was made of raw columns.")
    files: tuple[ExportedFile, ...]

    def age(self, now: datetime) -> float:
        """Seconds since the export was made: the value of a freshness metric, gmeta_export_age_seconds."""
        return now.timestamp() - self.created_seconds


def utc_now() -> datetime:
    """The time of an export."""
    return datetime.now(UTC).replace(microsecond=0)


def list_files(folder: Path) -> Iterator[ExportedFile]:
    """Every file below `folder`, by path, with its checksum."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        yield ExportedFile(path=path.relative_to(folder).as_posix(), bytes=path.stat().st_size, sha256=_sha256(path))


def open_export(folder: Path) -> ExportManifest:
    """Read the manifest of an export and check its files.

    Embedding rows are read in part, so of those files only the size is checked.

    Raises:
        CheckpointError: the folder is no export, or a file of it is missing or damaged; names it.
    """
    if not (folder / NAME).is_file():
        raise CheckpointError(f"{folder}: holds no {NAME}, so it is no export; make one with `gmeta export`")
    manifest = read_record(folder / NAME, ExportManifest)
    for file in manifest.files:
        _require_whole(folder / file.path, file)
    return manifest


def read_record(path: Path, kind: type[AnyRecord]) -> AnyRecord:
    """Read a JSON file of an export.

    Raises:
        CheckpointError: it is missing or damaged; names the field.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); {REMEDY}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CheckpointError(f"{path}: {f'{where}: ' if where else ''}{first['msg']}; {REMEDY}") from error


def _require_whole(path: Path, file: ExportedFile) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path}: is missing; {REMEDY}")
    if (size := path.stat().st_size) != file.bytes:
        raise CheckpointError(f"{path}: has {size} bytes, {NAME} says {file.bytes}; {REMEDY}")
    if not file.path.startswith("rows/") and (found := _sha256(path)) != file.sha256:
        raise CheckpointError(f"{path}: has checksum {found}, {NAME} says {file.sha256}; {REMEDY}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
