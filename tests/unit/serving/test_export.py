"""What an export holds besides scores: rows by key, checksums, the model card; and what cannot be exported."""

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from exported import Trained, train

from gmeta_api.errors import CheckpointError, DataError, ModelError
from gmeta_worker.coordination.events import Event, to_line
from gmeta_worker.coordination.messages import Evaluation, MetricRow
from gmeta_worker.embedding import ExactVocabulary
from gmeta_worker.metaio import Dataset
from gmeta_worker.serving import open_export, row_files, write_export
from gmeta_worker.serving.manifest import utc_now


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run with two evaluations of its best commit and one after it."""
    made = train(tmp_path_factory.mktemp("trained"), meta={"adapt": {"dense": ["bias", "top.*"]}})
    told = [_evaluation(20, "valid", 0.61), _evaluation(20, "test", 0.62), _evaluation(30, "valid", 0.63)]
    (made.run / "events.jsonl").write_bytes(b"".join(map(to_line, told)))
    return made


def _evaluation(step: int, split: str, auc: float) -> Event:
    row = MetricRow(shot=5, adapted=True, auc=auc, gauc=0.5, loss=0.6, tasks=7, rows=70)
    message = Evaluation(attempt=0, generation=1, rank=0, epoch=1, step=step, split=split, rows=(row,), auc=auc)
    return Event(at=1.0, time=utc_now(), generation=1, message=message)


@pytest.fixture(scope="module")
def export(trained: Trained) -> Path:
    """With rows in many groups."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_files, "GROUP_ROWS", 4)
        write_export(trained.run, trained.dataset, trained.folder / "export")
    return trained.folder / "export"


def test_rows_lie_by_key_and_are_found_in_any_group(trained: Trained, export: Path) -> None:
    store, vocabularies = trained.parts.store, trained.parts.vocabularies
    for name, vocabulary in vocabularies.items():
        path = export / "rows" / f"{name}.parquet"
        table = pq.read_table(path)
        rows = np.stack(table["row"].to_numpy())
        ids = torch.from_numpy(store.row_ids(name, np.arange(vocabulary.rows)))
        np.testing.assert_array_equal(rows, store.lookup(ids).numpy())
        keys = table["key"].to_pylist()
        if isinstance(vocabulary, ExactVocabulary):
            assert keys == [None, *trained.parts.keys[name].tolist()]
            np.testing.assert_array_equal(row_files.read_unknown(path), rows[:1])
        else:
            assert keys == list(range(vocabulary.rows))
        known = [key for key in keys if key is not None]
        asked = np.array(sorted({*known[::2], -5, max(known) + 1, 2**63 - 1}))
        found, values = row_files.read_rows(path, asked)
        assert found.tolist() == known[::2]
        np.testing.assert_array_equal(values, rows[[keys.index(key) for key in found.tolist()]])
    nothing, values = row_files.read_rows(path, np.zeros(0, np.int64))
    assert nothing.shape == (0,)
    assert values.shape == (0, 4)


def test_the_manifest_lists_every_file_with_its_checksum(trained: Trained, export: Path) -> None:
    manifest = open_export(export)
    listed = {file.path: (file.bytes, file.sha256) for file in manifest.files}
    on_disk = {path.relative_to(export).as_posix(): path for path in export.rglob("*") if path.is_file()}
    assert listed.keys() == on_disk.keys() - {"export.json"}
    for name, (size, digest) in listed.items():
        content = on_disk[name].read_bytes()
        assert (size, digest) == (len(content), hashlib.sha256(content).hexdigest())
    assert {"priors/movie_rate.arrow", "model.pt2", "dense.safetensors", "rows/genres.parquet"} <= listed.keys()
    assert manifest.age(manifest.created + timedelta(seconds=90)) == 90
    assert manifest.dataset == trained.dataset.card.provenance.digest


def test_the_recipe_has_every_groups_learned_step_size(trained: Trained, export: Path) -> None:
    recipe = json.loads((export / "adapt.json").read_text())
    assert recipe["steps"] == 3
    assert {name: layer["parameters"] for name, layer in recipe["layers"].items()} == {
        "bias": ["bias.bias"],
        "top.0": ["top.0.weight", "top.0.bias"],
        "top.1": ["top.1.weight", "top.1.bias"],
    }
    logs = trained.parts.model.get_parameter("step_sizes.MAML.logs").detach()
    rates = [layer["rate"] for layer in recipe["layers"].values()]
    shrinkages = [layer["shrinkage"] for layer in recipe["layers"].values()]
    np.testing.assert_allclose([rates, shrinkages], np.array([[0.4], [1.5]]) * logs.exp().numpy(), rtol=1e-6)


def test_the_card_has_the_last_evaluation_of_the_exported_commit(export: Path) -> None:
    card = (export / "MODEL_CARD.md").read_text()
    assert "DeepFM, trained with MAML" in card
    assert "on the test split" in card
    assert "| 5 | adapted | 0.6200 | 0.5000 | 0.6000 | 7 | 70 |" in card
    assert "0.6100" not in card
    assert "chosen by auc 0.7000" in card
    assert hashlib.sha256((export / "model.pt2").read_bytes()).hexdigest() in card


def test_another_dataset_is_refused(trained: Trained, tmp_path: Path) -> None:
    schema = trained.dataset.schema
    card = replace(trained.dataset.card, provenance=replace(trained.dataset.card.provenance, spec={}))
    with pytest.raises(DataError, match=r"^dataset card: provenance.spec: Field required"):
        write_export(trained.run, replace(trained.dataset, card=card), tmp_path / "export")
    fewer = replace(schema, numeric=schema.numeric[:1])
    with pytest.raises(CheckpointError, match="does not fit this job's model"):
        write_export(trained.run, _with_schema(trained.dataset, fewer), tmp_path / "export")
    assert not list(tmp_path.iterdir())


def _with_schema(dataset: Dataset, schema: Any) -> Dataset:
    return replace(dataset, card=replace(dataset.card, schema=schema))


REFUSED = {
    "scores of its own": (
        {"meta": {"algorithm": "refused:OwnScores"}},
        "spec.meta.algorithm: refused:OwnScores computes its scores itself",
    ),
    "a fixed number of samples": (
        {"model": {"type": "refused:Counting", "adaptive": {}, "dropout": 0}, "meta": {"adapt": {"dense": ["out"]}}},
        "Counting: its forward cannot be exported: ",
    ),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_exported_is_refused(tmp_path: Path, refused: tuple[dict[str, Any], str]) -> None:
    changes, message = refused
    made = train(tmp_path / "made", **changes)
    with pytest.raises(ModelError) as caught:
        write_export(made.run, made.dataset, tmp_path / "export")
    assert str(caught.value).startswith(message)
    assert not list(tmp_path.glob("export*"))
