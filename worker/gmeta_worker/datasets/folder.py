"""A folder of fetched files with their checksums, so that a second fetch has nothing to do."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gmeta_api.errors import DataError

RECORD = "fetched.json"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Make a folder to write to.

    Raises:
        DataError: It, or a file in it, cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DataError(f"{folder}: cannot write: {error.strerror}; check the folder and its free space") from None


def record(folder: Path, origin: str, names: Iterable[str]) -> None:
    """Write down where the files of a folder come from, and their checksums."""
    files = {name: sha256(folder / name) for name in names}
    (folder / RECORD).write_text(json.dumps({"origin": origin, "sha256": files}, indent=1) + "\n")


def recorded_origin(folder: Path) -> str | None:
    """Return where the folder's files come from if all of them are there and unchanged, else None."""
    try:
        found = json.loads((folder / RECORD).read_text())
        whole = all(sha256(folder / name) == expected for name, expected in found["sha256"].items())
    except (OSError, ValueError, KeyError):
        return None
    return str(found["origin"]) if whole else None


def sha256(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
