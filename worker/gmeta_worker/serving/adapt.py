"""An export at work: new tasks in, adapted scores or meta embeddings out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gmeta_api.errors import CheckpointError, ModelError
from gmeta_api.spec import PrepareSpec, Spec
from gmeta_worker.embedding import ExactVocabulary, HashVocabulary, RowStore, Sgd, Vocabulary
from gmeta_worker.meta import TaskSamples
from gmeta_worker.metaio import StepBatch
from gmeta_worker.models import build_model
from gmeta_worker.serving.manifest import DENSE, RECIPE, SIGNATURE, ExportManifest, open_export, read_record
from gmeta_worker.serving.packing import pack
from gmeta_worker.serving.recipe import Recipe, algorithm_of
from gmeta_worker.serving.row_files import read_rows, read_unknown
from gmeta_worker.serving.signature import Signature, VocabularyInput
from gmeta_worker.serving.source import RawRows, RowSource
from gmeta_worker.training.components import model_inputs
from gmeta_worker.training.inputs import InputAssembler

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

BLOCK_TASKS = 128
"""More tasks leave the processor's cache, fewer cost more calls."""

EMBEDDINGS = {"meta_block": "meta block", "context": "context vector"}
"""Modules whose outputs, after adaptation, are a task's meta embedding."""


class Adaptation:
    """A model that is read from an export and adapts to tasks on this machine's CPU.

    Args:
        folder: of the export.
        block_tasks: tasks that are computed together.
        manifest: of an export that is still being made; else it is read, and the files are checked against it.

    Raises:
        CheckpointError: the export is damaged.
        ModelError: the model's class cannot be built.
    """

    def __init__(self, folder: Path, block_tasks: int = BLOCK_TASKS, manifest: ExportManifest | None = None) -> None:
        manifest = manifest or open_export(folder)
        self._folder = folder
        self._block_tasks = block_tasks
        self._signature = read_record(folder / SIGNATURE, Signature)
        self._recipe = read_record(folder / RECIPE, Recipe)
        spec = Spec.model_validate(manifest.spec)
        inputs = model_inputs(self._signature.columns, self._signature.dim)
        self._model = build_model(spec.model, inputs, spec.training.seed).eval()
        _load(self._model, folder / DENSE)
        self._algorithm = algorithm_of(self._recipe, self._model, list(self._signature.vocabularies))
        self._source = RowSource(PrepareSpec.model_validate(manifest.prepare), self._signature, folder)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels."""
        return self._signature.columns.labels

    def read(self, path: Path, *, labelled: bool) -> RawRows:
        """Read support rows, which have labels, or query rows.

        Raises:
            DataError: the file, a column or a row is not as it should be; names it.
        """
        return self._source.read(path, labelled=labelled)

    def scores(self, support: RawRows, query: RawRows, *, adapted: bool = True) -> Floats:
        """Logits of the query rows [n, L], in their order, each by the model of its task; tasks without support use
        the shared one.
        """
        packed = pack(support, query)
        logits = [
            self._algorithm.scores(self._model, rows, samples, adapted) for rows, samples in self._blocks(packed.batch)
        ]
        scores = np.empty((len(query.labels), len(self.labels)), np.float32)
        scores[packed.query_rows] = torch.cat(logits).numpy() if logits else []
        return scores

    def meta_embeddings(self, support: RawRows) -> tuple[pa.Array, Floats]:
        """The tasks, and a vector for each: the mean over its support rows of the adapted meta block's outputs, or its
        adapted context vector.

        Raises:
            ModelError: nothing of the kind adapts.
        """
        name = self._embedding_module()
        packed = pack(support, support.slice(0, 0))
        vectors = [self._vectors(name, rows, samples) for rows, samples in self._blocks(packed.batch)]
        return packed.names, torch.cat(vectors).numpy()

    def _blocks(self, batch: StepBatch) -> Iterator[tuple[Tensor, TaskSamples]]:
        """Tasks that are computed together, and the rows that their samples point into."""
        tables = self._tables(batch)
        store = RowStore({name: len(table.rows) for name, table in tables.items()}, self._signature.dim, Sgd(), seed=0)
        for name, table in tables.items():
            ids = store.row_ids(name, np.arange(len(table.rows)))
            store.import_rows(ids, {"weights": torch.from_numpy(table.rows)})
        vocabularies = {name: table.vocabulary for name, table in tables.items()}
        weights = [self._recipe.label_weights.get(label, 1.0) for label in self.labels]
        assembler = InputAssembler(self._signature.columns, vocabularies, store, weights)
        for start in range(0, batch.tasks, self._block_tasks):
            inputs = assembler(batch.slice(start, min(start + self._block_tasks, batch.tasks)))
            yield store.lookup(inputs.ids), inputs.samples

    def _tables(self, batch: StepBatch) -> Mapping[str, "_Table"]:
        used: dict[str, list[Ints]] = {name: [] for name in self._signature.vocabularies}
        columns = self._signature.columns
        for column, feature in enumerate(columns.categorical):
            used[feature.vocabulary].append(batch.keys[:, column])
        for feature, ragged in zip(columns.multi, batch.multi, strict=True):
            used[feature.vocabulary].append(ragged.values)
        return {
            name: _read_table(self._folder, vocabulary, np.unique(np.concatenate(used[name] or [_NONE])))
            for name, vocabulary in self._signature.vocabularies.items()
        }

    def _embedding_module(self) -> str:
        for name in EMBEDDINGS:
            if any(layer == name or layer.startswith(f"{name}.") for layer in self._recipe.layers):
                return name
        raise ModelError(
            f"{self._folder}: its tasks adapt {', '.join(self._recipe.layers) or 'no layer'}, so they have no meta "
            f"embedding: that is the output of an adapted {' or '.join(EMBEDDINGS.values())} (algorithms LiMAML, CAVIA)"
        )

    @torch.no_grad()
    def _vectors(self, name: str, rows: Tensor, samples: TaskSamples) -> Tensor:
        """[T, width]: the outputs of the adapted module for the support rows, their mean over each task."""
        seen: list[Tensor] = []
        hook = self._model.get_submodule(name).register_forward_hook(lambda _module, _inputs, out: seen.append(out))
        adapter, loop = self._algorithm.loops.adapter, self._algorithm.loops.evaluation
        found = []
        try:
            for part in adapter.parts(replace(samples, query=samples.support)):
                adapter.adapt(self._model, rows, part, loop).query_logits()
                found.append(seen[-1])
        finally:
            hook.remove()
        vectors, task = torch.cat(found), samples.support.task
        counts = task.bincount(minlength=samples.tasks).unsqueeze(1)
        return vectors.new_zeros(samples.tasks, vectors.shape[1]).index_add(0, task, vectors) / counts


@dataclass(frozen=True)
class _Table:
    """The rows of a vocabulary that some tasks use, and the keys' places among them."""

    vocabulary: Vocabulary
    rows: Floats


class _SomeOfHash:
    """A hash vocabulary of which only some rows are here."""

    def __init__(self, whole: HashVocabulary, numbers: Ints) -> None:
        self._whole = whole
        self._numbers = numbers
        self.rows = len(numbers)

    def index(self, keys: Ints) -> Ints:
        """Places of `keys` among the rows that are here."""
        return np.searchsorted(self._numbers, self._whole.index(keys)).astype(np.int64)


_NONE = np.zeros(0, np.int64)


def _read_table(folder: Path, vocabulary: VocabularyInput, keys: Ints) -> _Table:
    path = folder / vocabulary.file
    if vocabulary.type == "hash":
        whole = HashVocabulary(vocabulary.rows)
        numbers, rows = read_rows(path, np.unique(whole.index(keys)))
        return _Table(_SomeOfHash(whole, numbers), rows)
    known, rows = read_rows(path, keys)
    return _Table(ExactVocabulary(known), np.concatenate([read_unknown(path), rows]))


def _load(model: nn.Module, path: Path) -> None:
    try:
        model.load_state_dict(safetensors.torch.load_file(path))
    except (safetensors.SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: is not of the export's model: {reason}; export again") from error
