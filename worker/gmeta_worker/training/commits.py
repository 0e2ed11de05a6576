"""Between a run's state in memory and its commits on disk."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint import FileEntry, Layout, Ledger, LoadedCommit, Table
from gmeta_worker.checkpoint.writer import CommitWriter
from gmeta_worker.embedding import Snapshot
from gmeta_worker.training.components import Components
from gmeta_worker.training.dense_optimizer import DenseOptimizer
from gmeta_worker.training.early_stop import Progress
from gmeta_worker.training.loop import Position

_MODEL, _OPTIMIZER = "model/", "optimizer/"


def layout_of(parts: Components, dim: int) -> Layout:
    """What the commit's tensors look like for these parts."""
    return Layout(
        dim=dim,
        tables={
            name: Table(rows=vocabulary.rows, vocabulary="exact" if name in parts.keys else "hash")
            for name, vocabulary in parts.vocabularies.items()
        },
    )


@dataclass(frozen=True)
class StateSnapshot:
    """What a rank commits, as it was at one moment, while training goes on.

    Attributes:
        rows: the rank's rows, copy-on-write.
        dense: a copy of the model and of its optimiser's state, on rank 0; the other ranks' are the same.
        keys: of the exact vocabularies, likewise.
    """

    rows: Snapshot
    dense: Mapping[str, Tensor] | None
    keys: Mapping[str, NDArray[np.int64]]

    def write(self, writer: CommitWriter, step: int) -> list[FileEntry]:
        """Write it to files; they become a commit when the coordinator says so."""
        self.rows.make_room()
        return writer.write(step, self.dense, self.rows.export_blocks, self.keys)


def take_snapshot(parts: Components, optimizer: DenseOptimizer) -> StateSnapshot:
    """The state as it is now; the last snapshot's rows must have been closed."""
    if parts.group.rank != 0:
        return StateSnapshot(parts.store.snapshot(), None, {})
    dense = {**_prefixed(_MODEL, parts.model.state_dict()), **_prefixed(_OPTIMIZER, optimizer.export())}
    copies = {name: tensor.detach().clone() for name, tensor in dense.items()}
    return StateSnapshot(parts.store.snapshot(), copies, parts.keys)


def restore_weights(loaded: LoadedCommit, parts: Components) -> None:
    """Put the commit's model, and those of its rows that this rank holds, into `parts`.

    Raises:
        CheckpointError: the model has other parameters, or a file of the commit is damaged.
    """
    restore_model(loaded, parts.model)
    for lo, hi, tensors in loaded.row_groups(parts.store.blocks()):
        parts.store.import_blocks(lo, hi, tensors)


def restore_training(loaded: LoadedCommit, optimizer: DenseOptimizer) -> Position:
    """Put the dense optimiser's state back; where the run goes on.

    Raises:
        CheckpointError: the state is that of another optimiser, or of another version's training loop.
    """
    restore_optimizer(loaded, optimizer)
    try:
        progress = Progress.model_validate(loaded.manifest.trainer)
    except ValidationError as error:
        raise CheckpointError(
            f"{loaded.commit.folder}: its manifest's 'trainer' is not that of this version's training loop "
            f"({error.errors()[0]['msg']}); resume with the version that wrote it"
        ) from error
    return Position(loaded.manifest.ledger, progress)


def restore_optimizer(loaded: LoadedCommit, optimizer: DenseOptimizer) -> None:
    """Put the dense optimiser's state back.

    Raises:
        CheckpointError: it is that of another optimiser or model.
    """
    try:
        optimizer.restore(_under(_OPTIMIZER, loaded.dense))
    except CheckpointError as error:
        raise CheckpointError(f"{loaded.commit.folder}: {error}") from error


def restore_model(loaded: LoadedCommit, model: nn.Module) -> None:
    """Load the dense weights, whose names and shapes must be the model's."""
    found, wanted = _under(_MODEL, loaded.dense), model.state_dict()
    for name in sorted(found.keys() | wanted.keys()):
        has, wants = _shape(found.get(name)), _shape(wanted.get(name))
        if has != wants:
            raise CheckpointError(
                f"{loaded.commit.folder}: does not fit this job's model: parameter {name}: the commit has {has}, "
                f"the model has {wants}; use the spec.model that wrote it, or start without this commit"
            )
    model.load_state_dict(found)


def start_position() -> Position:
    """Where a fresh run begins."""
    return Position(Ledger(), Progress())


def _shape(tensor: Tensor | None) -> str:
    return "none" if tensor is None else f"shape {list(tensor.shape)}"


def _prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
