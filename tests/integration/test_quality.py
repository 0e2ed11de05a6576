"""On real data, whatever the seed: adapting pays, and pays more than ordinary training of the same model."""

from pathlib import Path

import pytest
import torch
from bench.quality import Case, by_seed, cases, mean_auc, table

EPOCHS = 5


@pytest.fixture(scope="module")
def real_cases(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    folder = tmp_path_factory.mktemp("quality")
    return {case.name: case for case in cases(real_data, folder, EPOCHS)}


@pytest.mark.parametrize(
    ("name", "seeds"),
    [("ml-100k", 1), pytest.param("ml-100k", 3, marks=pytest.mark.slow), pytest.param("p1", 3, marks=pytest.mark.slow)],
)
def test_adapted_beats_unadapted_and_joint_with_every_seed(real_cases: dict[str, Case], name: str, seeds: int) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    results = {algorithm: by_seed(real_cases[name], algorithm, seeds) for algorithm in ("MAML", "Joint")}
    torch.set_num_threads(threads)
    print(table(name, results))
    for maml, joint in zip(results["MAML"], results["Joint"], strict=True):
        adapted = mean_auc(maml, adapted=True)
        assert adapted > mean_auc(maml, adapted=False) + 0.02
        assert adapted > mean_auc(joint, adapted=False) + 0.02
