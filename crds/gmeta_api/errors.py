"""Errors that a user can act on. `str(error)` is the whole message; the CLI prints it and ends with `exit_code`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from gmeta_api.exit_codes import ExitCode


class GMetaError(Exception):
    """Base of every error whose message is meant for the user."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with a manifest.

    Attributes:
        path: where it is, such as `spec.volumes[1].name`, or a position in the file.
        message: what was expected, what was received and what to do.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class ManifestError(GMetaError):
    """A manifest is invalid; carries every problem that was found, not only the first."""

    exit_code: ClassVar[ExitCode] = ExitCode.MANIFEST

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DataError(GMetaError):
    """A dataset or the source of one is missing, damaged or not what the manifest says."""

    exit_code: ClassVar[ExitCode] = ExitCode.DATA


class ModelError(GMetaError):
    """A model class cannot be imported, built or adapted."""

    exit_code: ClassVar[ExitCode] = ExitCode.MODEL


class CheckpointError(GMetaError):
    """A commit cannot be written, or none that is needed can be read."""

    exit_code: ClassVar[ExitCode] = ExitCode.CHECKPOINT


class CoordinationError(GMetaError):
    """The coordinator cannot be reached, or it has refused this process."""

    exit_code: ClassVar[ExitCode] = ExitCode.COORDINATION


class DivergedError(GMetaError):
    """The loss is not finite."""

    exit_code: ClassVar[ExitCode] = ExitCode.DIVERGED
