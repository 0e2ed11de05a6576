"""The commit manifest: the JSON file whose presence is the commit."""

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, JsonValue, NonNegativeInt, PositiveInt, StringConstraints, model_validator

from gmeta_api.document import JobIdentity
from gmeta_worker.checkpoint.ledger import Ledger
from gmeta_worker.checkpoint.record import Record

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=255)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


class FileEntry(Record):
    """One safetensors file of a commit."""

    path: FileName = Field(description="File name inside the commit's folder.")
    kind: Literal["rows", "dense", "vocabulary"]
    blocks: tuple[NonNegativeInt, PositiveInt] | None = Field(
        default=None, description="Virtual blocks [lo, hi) that a file of kind `rows` holds."
    )
    bytes: PositiveInt
    xxh3: Digest = Field(description="xxh3_64 of the whole file, hexadecimal.")


class Table(Record):
    """One embedding table."""

    rows: PositiveInt
    vocabulary: Literal["exact", "hash"]


class Layout(Record):
    """What the tensors of a job look like; a checkpoint only loads into the same layout."""

    dim: PositiveInt = Field(description="Width of an embedding row.")
    blocks: PositiveInt = Field(default=4096, description="Number of virtual blocks.")
    tables: dict[str, Table] = Field(description="By name; their order says where the rows lie in the blocks.")

    def difference(self, wanted: Self) -> str | None:
        """Return the first difference from `wanted` in words, or None when the two layouts are the same."""
        if self.dim != wanted.dim:
            return f"it has embedding rows of {self.dim} numbers, this job's have {wanted.dim}"
        if self.blocks != wanted.blocks:
            return f"it has {self.blocks} virtual blocks, this job has {wanted.blocks}"
        for name in sorted(self.tables.keys() | wanted.tables.keys()):
            if self.tables.get(name) != wanted.tables.get(name):
                return f"table {name!r}: it has {_words(self, name)}, this job has {_words(wanted, name)}"
        if list(self.tables) != list(wanted.tables):
            return f"its tables are in the order {', '.join(self.tables)}, this job's in {', '.join(wanted.tables)}"
        return None


def _words(layout: Layout, name: str) -> str:
    table = layout.tables.get(name)
    return "no such table" if table is None else f"{table.rows} rows ({table.vocabulary} vocabulary)"


class Score(Record):
    """The validation result that a commit is ranked by."""

    metric: Literal["auc", "gauc", "loss"]
    value: FiniteFloat

    def better_than(self, other: Self) -> bool:
        """Tell whether this score beats `other`: a loss is better when lower, AUC and GAUC when higher."""
        return self.value < other.value if self.metric == "loss" else self.value > other.value


class CommitManifest(Record):
    """Everything that a reader has to know about a commit, and the checksums of its files."""

    format: Literal[1] = Field(default=1, description="Version of this format.")
    job: JobIdentity
    attempt: NonNegativeInt
    generation: NonNegativeInt
    step: NonNegativeInt = Field(description="Global step after which the state was taken.")
    ledger: Ledger
    layout: Layout
    spec: dict[str, JsonValue] = Field(description="The job's spec as it was, in the manifest's own names.")
    files: tuple[FileEntry, ...]
    evaluation: Score | None = None
    trainer: dict[str, JsonValue] = Field(
        default={}, description="Small state of the training loop itself, such as what early stopping remembers."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.ledger.global_step != self.step:
            raise ValueError(f"the ledger stands at step {self.ledger.global_step}, the commit at step {self.step}")
        if problem := incomplete(self.files, self.layout.blocks):
            raise ValueError(problem)
        return self

    @property
    def position(self) -> tuple[int, int]:
        """Order among commits: a higher attempt wins, then a higher step."""
        return self.attempt, self.step

    @property
    def folder(self) -> str:
        """Folder of the commit, relative to the run folder."""
        return commit_folder(self.attempt, self.step)


def commit_folder(attempt: int, step: int) -> str:
    """Return the folder of a commit, relative to the run folder."""
    return f"a{attempt}/s{step}"


def incomplete(files: tuple[FileEntry, ...], blocks: int) -> str | None:
    """Return what is missing for the files to be a whole commit, or None.

    A whole commit has one dense file, and its row files hold every virtual block exactly once.
    """
    if sum(file.kind == "dense" for file in files) != 1:
        return "a commit has exactly one file of kind 'dense'"
    expected = 0
    for lo, hi in sorted(file.blocks or (0, 0) for file in files if file.kind == "rows"):
        if lo != expected or hi <= lo:
            return (
                f"row files must hold blocks 0..{blocks} once: expected a file from block {expected}, found {lo}..{hi}"
            )
        expected = hi
    return None if expected == blocks else f"row files hold blocks 0..{expected} of {blocks}"
