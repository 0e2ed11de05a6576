"""Run folders in an object store: what they need of `pathlib.Path`, over obstore (S3, Google, Azure).

There are no folders in a store, only names with slashes: a folder is there as long as something lies in it. An object
is written whole or not at all, so writing one is durable and atomic at once.
"""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import total_ordering
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore, from_url

Version = str
"""Of an object's content: its entity tag."""


class ChangedError(Exception):
    """Another process has written the object since."""


@dataclass(frozen=True)
class Stat:
    """Size of an object."""

    st_size: int


@total_ordering
@dataclass(frozen=True, eq=False)
class ObjectPath:
    """A name in a store.

    Args:
        store: the store; its names are relative to the volume's prefix.
        uri: of the volume, for messages.
        key: the name, without slashes at its ends; the volume itself has none.
    """

    store: ObjectStore = field(repr=False)
    uri: str
    key: str = ""

    @classmethod
    def open(cls, uri: str, options: Mapping[str, str]) -> "ObjectPath":
        """The volume at `uri`, like s3://bucket/prefix; credentials come from the provider's environment variables.

        Args:
            uri: bucket and prefix.
            options: of the store, such as its endpoint.

        Raises:
            OSError: the address or an option is wrong.
        """
        with _as_os_errors(uri):
            settings: Any = dict(options)  # the library's types know every option by name
            plain = options.get("endpoint", "").startswith("http://")
            store = from_url(uri, config=settings, client_options={"allow_http": plain})
        return cls(store, uri.rstrip("/"))

    def __truediv__(self, name: str | Path) -> "ObjectPath":
        key = "/".join(part for part in (self.key, str(name).strip("/")) if part)
        return ObjectPath(self.store, self.uri, key)

    def __str__(self) -> str:
        return f"{self.uri}/{self.key}" if self.key else self.uri

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectPath) and str(self) == str(other)

    def __lt__(self, other: "ObjectPath") -> bool:
        return str(self) < str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def name(self) -> str:
        """Its last part."""
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> "ObjectPath":
        """The folder it lies in."""
        return ObjectPath(self.store, self.uri, self.key.rpartition("/")[0])

    def absolute(self) -> "ObjectPath":
        """It always is."""
        return self

    def exists(self) -> bool:
        """Whether there is such an object or folder."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Whether there is such an object."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether something lies under this name."""
        return next(self.iterdir(), None) is not None

    def iterdir(self) -> Iterator["ObjectPath"]:
        """What lies directly under this name."""
        with _as_os_errors(str(self)):
            listed = obstore.list_with_delimiter(self.store, self.key or None)
        names = [*listed["common_prefixes"], *(each["path"] for each in listed["objects"])]
        yield from (ObjectPath(self.store, self.uri, name.strip("/")) for name in names)

    def stat(self) -> Stat:
        """Its size.

        Raises:
            FileNotFoundError: there is no such object.
        """
        with _as_os_errors(str(self)):
            return Stat(obstore.head(self.store, self.key)["size"])

    def read_bytes(self) -> bytes:
        """Its content."""
        return self.read_version()[0]

    def read_version(self) -> tuple[bytes, Version]:
        """Its content, and the version that this is."""
        with _as_os_errors(str(self)):
            found = obstore.get(self.store, self.key)
            return bytes(found.bytes()), str(found.meta["e_tag"])

    def version(self) -> Version | None:
        """The version of its content; None if there is no such object."""
        with suppress(FileNotFoundError), _as_os_errors(str(self)):
            return str(obstore.head(self.store, self.key)["e_tag"])
        return None

    def read_pieces(self, size: int) -> Iterator[bytes]:
        """Its content in pieces of at least `size` bytes, but for the last."""
        with _as_os_errors(str(self)):
            for piece in obstore.get(self.store, self.key).stream(min_chunk_size=size):
                yield bytes(piece)

    def write_pieces(self, *pieces: memoryview) -> None:
        """Replace its content."""
        with _as_os_errors(str(self)):
            obstore.put(self.store, self.key, iter(pieces) if len(pieces) > 1 else bytes(pieces[0]))

    def replace_version(self, data: bytes, version: Version | None) -> Version:
        """Replace its content if it still is `version`, or if there is none and None is given; the new version.

        Raises:
            ChangedError: it is another version.
        """
        with _as_os_errors(str(self)):
            mode: Any = "create" if version is None else {"e_tag": version}
            try:
                return str(obstore.put(self.store, self.key, data, mode=mode)["e_tag"])
            except (AlreadyExistsError, PreconditionError) as error:
                raise ChangedError(str(self)) from error

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object."""
        if not missing_ok:
            self.stat()
        with _as_os_errors(str(self)):
            obstore.delete(self.store, self.key)

    def remove_tree(self) -> None:
        """Delete everything under this name."""
        with _as_os_errors(str(self)):
            for listed in obstore.list(self.store, f"{self.key}/"):
                obstore.delete(self.store, [each["path"] for each in listed])


Folder = Path | ObjectPath
"""Where commits lie, or a file there."""


@contextmanager
def _as_os_errors(name: str) -> Iterator[None]:
    """Raise what the store says as the error that a file system would have raised."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "No such object", name) from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise PermissionError(errno.EACCES, _first_line(error), name) from error
    except (BaseError, ValueError) as error:
        raise OSError(errno.EIO, _first_line(error), name) from error


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
