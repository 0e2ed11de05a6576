"""Every algorithm on real data: adapting to a cold user's support rows beats the model it starts from."""

from pathlib import Path

import pytest
import torch
from bench.p1 import write_sources
from bench.quality import ALL_SUPPORT_ROWS, MANIFEST, mean_auc, train_and_score

from gmeta_api.load import load_manifest
from gmeta_worker.metaio import Dataset
from gmeta_worker.metaio.prepare import run

COMMON = (
    "spec.training.epochs=1",
    f"spec.training.evaluation.shots=[{ALL_SUPPORT_ROWS}]",
)
INNER = "{steps: 3, rate: 0.2, shrinkage: 10}"
PARTS = "spec.model.adaptive={bias: true, context: true, wide: 16}"
SETTINGS = {
    "MAML": (),
    "FOMAML": (),
    "ANIL": (),
    "MetaSGD": (),
    "CAVIA": (PARTS, "spec.meta.inner.rate=1"),
    "LiMAML": ("spec.model.type=LiMAML",),
    "Reptile": (),
}


@pytest.fixture(scope="module")
def p1(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("p1")
    run(write_sources(real_data, folder / "raw"), folder / "raw", folder / "dataset")
    return Dataset.open(folder / "dataset")


@pytest.mark.data
@pytest.mark.parametrize("algorithm", SETTINGS)
def test_adapted_beats_unadapted(p1: Dataset, algorithm: str) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    meta = f"spec.meta={{algorithm: {algorithm}, inner: {INNER}, outerLoss: samples}}"
    scores = train_and_score(load_manifest(MANIFEST, (*COMMON, meta, *SETTINGS[algorithm])).spec, p1)
    torch.set_num_threads(threads)
    print(algorithm, mean_auc(scores, adapted=False), mean_auc(scores, adapted=True))
    assert mean_auc(scores, adapted=True) > mean_auc(scores, adapted=False) + 0.01
