"""From the bytes of a manifest to a checked one, with a message a user can act on for everything that may be wrong."""

import json

from pydantic import ValidationError

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint.manifest import FORMAT_VERSION, CommitManifest
from gmeta_worker.checkpoint.object_path import Folder


def parse_manifest(path: Folder, data: bytes) -> CommitManifest:
    """Parse and check the manifest file `path` that holds `data`.

    Raises:
        CheckpointError: it is no JSON object, its format version is unknown, or a field is missing or wrong.
    """
    _require_known_format(path, _json_object(path, data).get("format"))
    try:
        return CommitManifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise CheckpointError(f"{path}: {f'{where}: ' if where else ''}{message}") from error


def _json_object(path: Folder, data: bytes) -> dict[str, object]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise CheckpointError(f"{path}: is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def _require_known_format(path: Folder, version: object) -> None:
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: has format version {version!r}, this version of gmeta reads version {FORMAT_VERSION}; "
            "read it with the version that wrote it"
        )
