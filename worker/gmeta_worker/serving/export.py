"""Writing an export: what a run delivers, as a folder that needs none of this code."""

import shutil
from datetime import datetime
from pathlib import Path

from torch import nn

from gmeta_api.errors import DataError
from gmeta_api.spec import Spec
from gmeta_worker.checkpoint import Commit, LoadedCommit, delivered, load_commit
from gmeta_worker.checkpoint.object_path import Folder
from gmeta_worker.checkpoint.tensor_file import write_tensors
from gmeta_worker.coordination.events import EVENTS_NAME, read_events
from gmeta_worker.coordination.messages import Evaluation
from gmeta_worker.meta import Algorithm
from gmeta_worker.metaio import Card, Dataset
from gmeta_worker.metaio.folder import replacing
from gmeta_worker.serving.adapt import Adaptation
from gmeta_worker.serving.graph import plain_model, write_graph
from gmeta_worker.serving.manifest import (
    CARD,
    DENSE,
    EMBEDDINGS,
    GRAPH,
    NAME,
    RECIPE,
    SIGNATURE,
    ExportManifest,
    list_files,
    utc_now,
)
from gmeta_worker.serving.meta_embeddings import write_meta_embeddings
from gmeta_worker.serving.model_card import model_card
from gmeta_worker.serving.recipe import Recipe, recipe_of
from gmeta_worker.serving.row_files import write_rows
from gmeta_worker.serving.signature import signature_of
from gmeta_worker.training.commits import restore_model
from gmeta_worker.training.components import build_dense, label_weights


def write_export(
    run: Folder, dataset: Dataset, out: Path, *, overwrite: bool = False, support: Path | None = None
) -> ExportManifest:
    """Export what a run delivers: its best commit, else its newest one; a commit's own folder names that commit.

    The folder appears when it is complete.

    Args:
        run: of a run, or a commit.
        dataset: that it was trained on; it knows how raw columns become inputs.
        out: the export's folder.
        overwrite: whether an older export there is replaced.
        support: labelled rows of tasks whose meta embeddings are exported too.

    Raises:
        DataError: there is something else at `out`, it cannot be written, or the support is not as it should be.
        CheckpointError: there is no whole commit, or it is not one of this dataset's columns.
        ModelError: the model or its algorithm cannot be exported.
    """
    require_free(out, overwrite=overwrite)
    loaded = load_commit(delivered(run))
    tables, dim = loaded.manifest.layout.tables, loaded.manifest.layout.dim
    signature = signature_of(dataset.card, tables, dim)
    spec = Spec.model_validate(loaded.manifest.spec)
    model, algorithm = _restored(spec, dataset, loaded)
    weights = dict(zip(dataset.schema.labels, label_weights(dataset.schema, spec.training.label_weights), strict=True))
    recipe = recipe_of(spec.algorithms[-1], algorithm, weights)
    try:
        with replacing(out) as folder:
            _write_model(model, folder)
            write_rows(loaded, folder)
            _copy_priors(dataset, folder)
            (folder / SIGNATURE).write_text(signature.model_dump_json(indent=1) + "\n")
            (folder / RECIPE).write_text(recipe.model_dump_json(indent=1) + "\n")
            manifest = _manifest(loaded.commit, dataset.card, utc_now())
            if support is not None:
                write_meta_embeddings(Adaptation(folder, manifest=manifest), support, folder / EMBEDDINGS)
            return _sealed(folder, manifest, loaded.commit, dataset.card, recipe)
    except OSError as error:
        raise DataError(
            f"{out}: cannot write the export: {error.strerror}; check the folder and its free space"
        ) from error


def require_free(out: Path, *, overwrite: bool) -> None:
    """Let an export be written to `out`.

    Raises:
        DataError: there is something else, or an export that must not be replaced.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / NAME).is_file():
        raise DataError(f"{out}: exists and is no export; choose another folder")
    if not overwrite:
        raise DataError(f"{out}: holds an export already; use --overwrite to replace it, or another folder")


def _restored(spec: Spec, dataset: Dataset, loaded: LoadedCommit) -> tuple[nn.Module, Algorithm]:
    model, algorithms = build_dense(spec, dataset.schema, list(loaded.manifest.layout.tables))
    restore_model(loaded, model)
    return model, algorithms[spec.algorithms[-1]]


def _write_model(model: nn.Module, folder: Path) -> None:
    plain = plain_model(model)
    write_tensors(folder / DENSE, plain.state_dict())
    write_graph(plain, folder / GRAPH)


def _copy_priors(dataset: Dataset, folder: Path) -> None:
    for name, prior in dataset.card.priors.items():
        dataset.prior(name)  # checks it
        target = folder / prior.file.path
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(dataset.path / prior.file.path, target)


def _sealed(folder: Path, manifest: ExportManifest, commit: Commit, card: Card, recipe: Recipe) -> ExportManifest:
    """Write the model card and, last, the manifest with all checksums."""
    text = model_card(manifest, recipe, card, evaluation_of(commit), tuple(list_files(folder)))
    (folder / CARD).write_text(text)
    manifest = manifest.model_copy(update={"files": tuple(list_files(folder))})
    (folder / NAME).write_text(manifest.model_dump_json(indent=1) + "\n")
    return manifest


def _manifest(commit: Commit, card: Card, now: datetime) -> ExportManifest:
    source = commit.manifest
    return ExportManifest(
        created=now,
        created_seconds=now.timestamp(),
        job=source.job,
        attempt=source.attempt,
        step=source.step,
        evaluation=source.evaluation,
        dataset=card.provenance.digest,
        spec=source.spec,
        prepare=dict(card.provenance.spec),
        files=(),
    )


def evaluation_of(commit: Commit) -> Evaluation | None:
    """The last evaluation of the commit's step that its run has told."""
    path = commit.folder.parent.parent / EVENTS_NAME
    if not path.is_file():
        return None
    found = [event.message for event in read_events(path) if isinstance(event.message, Evaluation)]
    return next((each for each in reversed(found) if each.step == commit.manifest.step), None)
