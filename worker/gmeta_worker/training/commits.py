"""Between a run's state in memory and its commits on disk."""

from torch import Tensor, nn

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint import FileEntry, Layout, Ledger, LoadedCommit, Table
from gmeta_worker.checkpoint.writer import CommitWriter
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


def write_state(
    writer: CommitWriter, parts: Components, optimizer: DenseOptimizer, position: Position
) -> list[FileEntry]:
    """Write the state at `position` to files; they become a commit when the coordinator says so."""
    dense = {
        **_prefixed(_MODEL, {name: value.detach() for name, value in parts.model.state_dict().items()}),
        **_prefixed(_OPTIMIZER, optimizer.export()),
    }
    return writer.write(position.ledger.global_step, dense, parts.store.export_blocks, parts.keys)


def restore_weights(loaded: LoadedCommit, parts: Components) -> None:
    """Put the commit's model and rows into `parts`.

    Raises:
        CheckpointError: the model has other parameters, or a file of the commit is damaged.
    """
    restore_model(loaded, parts.model)
    for lo, hi, tensors in loaded.row_groups():
        parts.store.import_blocks(lo, hi, tensors)


def restore_training(loaded: LoadedCommit, optimizer: DenseOptimizer) -> Position:
    """Put the dense optimiser's state back; where the run goes on."""
    optimizer.restore(_under(_OPTIMIZER, loaded.dense))
    return Position(loaded.manifest.ledger, Progress.model_validate(loaded.manifest.trainer))


def restore_model(loaded: LoadedCommit, model: nn.Module) -> None:
    """Load the dense weights, whose names and shapes must be the model's."""
    found, wanted = _under(_MODEL, loaded.dense), model.state_dict()
    for name in sorted(found.keys() | wanted.keys()):
        has, wants = _shape(found.get(name)), _shape(wanted.get(name))
        if has != wants:
            raise CheckpointError(
                f"{loaded.commit.folder}: does not fit this job's model: parameter {name}: the commit has {has}, "
                f"the model has {wants}; use the spec.model that wrote it, or another spec.checkpoint.path"
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
