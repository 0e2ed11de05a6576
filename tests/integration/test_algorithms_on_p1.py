"""Every algorithm on real data: adapting to a cold user's support rows beats the model it starts from."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from bench.p1 import write_sources
from bench.quality import ALL_SUPPORT_ROWS, MANIFEST, mean_auc, train_and_score

from gmeta_api.load import load_manifest
from gmeta_worker.evaluation import Score
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
IN_MAKE_TEST = ("MAML", "CAVIA")
"""The others are of the long suite."""


@pytest.fixture(scope="module")
def p1(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("p1")
    run(write_sources(real_data, folder / "raw"), folder / "raw", folder / "dataset")
    return Dataset.open(folder / "dataset")


Scored = Callable[..., list[Score]]


@pytest.fixture(scope="module")
def scored(p1: Dataset) -> Scored:
    """Trains an algorithm and scores the test users, once for each set of arguments."""

    @cache
    def score(algorithm: str, precision: str = "float32") -> list[Score]:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        meta = f"spec.meta={{algorithm: {algorithm}, inner: {INNER}, outerLoss: samples}}"
        settings = (*COMMON, meta, *SETTINGS[algorithm], f"spec.training.precision={precision}")
        scores = train_and_score(load_manifest(MANIFEST, settings).spec, p1)
        torch.set_num_threads(threads)
        print(algorithm, precision, mean_auc(scores, adapted=False), mean_auc(scores, adapted=True))
        return scores

    return score


@pytest.mark.data
@pytest.mark.parametrize(
    "algorithm", [each if each in IN_MAKE_TEST else pytest.param(each, marks=pytest.mark.slow) for each in SETTINGS]
)
def test_adapted_beats_unadapted(scored: Scored, algorithm: str) -> None:
    scores = scored(algorithm)
    assert mean_auc(scores, adapted=True) > mean_auc(scores, adapted=False) + 0.01


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["CAVIA", "MAML"])
def test_bfloat16_is_as_good_as_float32(scored: Scored, algorithm: str) -> None:
    exact, rounded = (mean_auc(scored(algorithm, name), adapted=True) for name in ("float32", "bfloat16"))
    assert 0 < abs(rounded - exact) < 0.003
