"""An export's scores are those of `gmeta evaluate`: by an independent scorer, and by `gmeta adapt`."""

import ast
import importlib.util
import random
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from exported import Trained, train, write_rows
from numpy.typing import NDArray

from gmeta_worker.cli.main import gmeta
from gmeta_worker.serving import Adaptation, write_export

SCORER = Path(__file__).parents[3] / "examples/score_export.py"
Floats = NDArray[np.float32]
STANDARD = {"hashlib", "json", "math", "sys", "pathlib", "typing"}
HASH = {"type": "hash", "rows": 11}
LABELS = {"click": "rating >= 4", "like": "CASE WHEN rating <> 3 THEN rating = 5 END"}
CASES: dict[str, dict[str, Any]] = {
    "every layer and row": {},
    "first order, the mean": {"meta": {"algorithm": "FOMAML", "inner": {"steps": 1, "rate": 0.3}, "adapt": None}},
    "another inner loop to evaluate": {"meta": {"evalInner": {"steps": 2, "rate": 0.2, "shrinkage": 4}}},
    "context parameters": {"meta": {"algorithm": "CAVIA", "adapt": None}, "model": {"type": "DCN"}},
    "meta block": {"meta": {"algorithm": "LiMAML", "adapt": None}, "model": {"type": "LiMAML", "adaptive": {}}},
    "rows of a hash vocabulary": {"meta": {"adapt": {"dense": [], "rows": ["movie"]}}, "model": {"vocabulary": HASH}},
    "layers that are not adaptive": {"model": {"type": "plain_model:Plain", "adaptive": {}, "dropout": 0}},
    "joint": {"meta": {"algorithm": "Joint"}},
    "two labels, one not always known": {
        "model": {"type": "PLE", "expertSize": 6},
        "prepare": {"labels": [{"name": name, "rule": rule} for name, rule in LABELS.items()]},
        "training": {"epochs": 1, "labelWeights": {"like": 0.5}},
    },
}


def assert_same(found: Sequence[float] | Floats, wanted: Floats) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def scorer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("score_export", SCORER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=CASES)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run and, beside it, its export."""
    made = train(tmp_path_factory.mktemp("trained"), **CASES[request.param])
    write_export(made.run, made.dataset, made.folder / "export")
    return made


def labels_of(rating: int) -> dict[str, bool | None]:
    return {"click": rating >= 4, "like": None if rating == 3 else rating == 5}


def write_tasks(trained: Trained, folder: Path) -> tuple[Path, Path]:
    """The test tasks' rows as a support file in CSV and a query file in Parquet, each in an order of its own."""
    support, query = (
        [row for pair in trained.tasks() for row in pair[number]] for number in (0, 1)
    )  # fmt: skip
    for number, rows in enumerate((support, query)):
        random.Random(number).shuffle(rows)
    unlabelled = [{name: value for name, value in row.items() if name != "rating"} for row in query]
    pq.write_table(pa.Table.from_pylist(unlabelled), folder / "query.parquet")
    return write_rows(folder / "support.csv", support), folder / "query.parquet"


def test_the_scorer_needs_nothing_of_ours() -> None:
    tree = ast.parse(SCORER.read_text())
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {name.split(".")[0] for name in names} - STANDARD == {"numpy", "pyarrow", "torch", "safetensors"}


def test_the_scorer_computes_what_evaluate_does(trained: Trained) -> None:
    export = scorer().Export(trained.folder / "export")
    scored = [
        export.score([{**row, **labels_of(int(row["rating"]))} for row in support], query)
        for support, query in trained.tasks()
    ]
    shared, adapted = (np.concatenate([pair[mode].numpy() for pair in scored]) for mode in (0, 1))
    assert np.abs(adapted - shared).max() > 0.1
    assert_same(shared, trained.evaluated(adapted=False))
    assert_same(adapted, trained.evaluated(adapted=True))


def test_adapt_scores_files_as_evaluate_does(trained: Trained, tmp_path: Path) -> None:
    support, query = write_tasks(trained, tmp_path)
    arguments = ["adapt", str(trained.folder / "export"), "--support", str(support), "--query", str(query)]
    done = CliRunner().invoke(gmeta, [*arguments, "--out", str(tmp_path / "out/scores.parquet")])
    assert done.exit_code == 0, done.output
    table = pq.read_table(tmp_path / "out/scores.parquet")
    raw = pq.read_table(query).to_pylist()
    assert table["row"].to_pylist() == list(range(len(raw)))
    assert table["task"].to_pylist() == [row["user"] for row in raw]
    labels = list(trained.dataset.card.schema.labels)
    columns = ["score"] if labels == ["click"] else [f"score_{label}" for label in labels]
    assert table.column_names == ["task", "row", *columns]
    scores = np.stack([table[column].to_numpy() for column in columns], 1).squeeze()
    found = {(row["user"], row["place"]): score for row, score in zip(raw, scores, strict=True)}
    wanted = 1 / (1 + np.exp(-trained.evaluated(adapted=True)))
    in_order = [found[row["user"], row["place"]] for _, rows in trained.tasks() for row in rows]
    assert_same(in_order, wanted)


def test_a_task_without_support_is_scored_with_the_shared_parameters(trained: Trained, tmp_path: Path) -> None:
    tasks = list(trained.tasks())
    adaptation = Adaptation(trained.folder / "export")
    support = adaptation.read(write_rows(tmp_path / "support.csv", tasks[0][0]), labelled=True)
    query = adaptation.read(
        write_rows(tmp_path / "query.csv", [row for _, rows in tasks for row in rows]), labelled=False
    )
    scores = adaptation.scores(support, query).squeeze()
    first = len(tasks[0][1])
    assert_same(scores[:first], trained.evaluated(adapted=True)[:first])
    assert_same(scores[first:], trained.evaluated(adapted=False)[first:])
