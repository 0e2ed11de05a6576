"""A model and an algorithm of the user's own, each in one file, by manifest."""

from pathlib import Path

import pytest
import yaml
from local_job import MANIFEST, LocalJob

EXAMPLES = Path(__file__).parents[2] / "examples"
SPEC = {
    "model": {"type": "custom_model:TwoTower", "args": {"user": [], "item": ["movie"], "width": 4}, "embeddingDim": 4},
    "meta": {"args": {"share": 0.3}, "adapt": {"dense": ["user_tower.*", "bias"]}},
    "training": {
        "phases": [
            {"name": "warm", "algorithm": "Joint", "epochs": 1},
            {"name": "meta", "algorithm": "custom_algorithm:WarmStart", "epochs": 2},
        ],
        "tasksPerStep": 4,
        "evaluation": {"everyEpochs": 1, "shots": [1, 4], "finalShots": [1, 2, 3]},
    },
}


@pytest.mark.slow
def test_the_examples_train_in_two_phases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES), prepend=":")
    job = LocalJob(tmp_path)
    job.manifest.write_text(yaml.safe_dump({**MANIFEST, "spec": {**MANIFEST["spec"], **SPEC}}))
    code, output = job.run()
    assert code == 0, output
    assert job.report["setup"]["algorithm"] == "Joint, then custom_algorithm:WarmStart"
    valid, final = job.events("evaluation")[:-1], job.events("evaluation")[-1]
    assert [len(each["rows"]) for each in valid] == [4, 4, 4]
    assert sorted({row["shot"] for row in final["rows"]}) == [1, 2, 3]
    # only what the last phase has trained may be best: the first evaluation is the first phase's
    steps = [each["step"] for each in valid]
    judged = [each["step"] for each in job.events("shard_written") if each["evaluation"]]
    assert judged
    assert min(judged) > steps[0]
