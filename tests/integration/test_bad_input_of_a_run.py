"""A user's mistake ends with its message and exit code, through every process of a run, and never with a traceback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from local_job import LocalJob, call


@pytest.fixture
def job(tmp_path: Path) -> Iterator[LocalJob]:
    job = LocalJob(tmp_path)
    yield job
    job.stop()


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def logs(job: LocalJob) -> str:
    return "".join(path.read_text() for path in (job.run_folder / "logs").glob("*.log"))


@pytest.mark.parametrize(
    ("setting", "code", "message"),
    [
        (
            "spec.model.type=nowhere.models:Net",
            66,
            "failed: spec.model.type: no module named 'nowhere' (from 'nowhere.models:Net'); put it on PYTHONPATH",
        ),
        (
            "spec.meta.adapt.dense=[tower.*]",
            66,
            "failed: spec.meta.adapt.dense[0]: 'tower.*' matches no layer of the model; "
            "the names are bottom.0, bottom.1, top.0, top.1",
        ),
    ],
)
def test_a_wrong_setting_ends_the_run_with_its_message(job: LocalJob, setting: str, code: int, message: str) -> None:
    received, output = job.run(settings=(setting,))
    assert received == code, output
    assert message in output
    assert job.report["ending"]["outcome"] == "failed"
    assert "Traceback" not in output + logs(job)


def test_a_damaged_chunk_is_named(job: LocalJob) -> None:
    assert call("prepare", job.manifest, "--volume", f"data={job.folder / 'data'}")[0] == 0
    chunk = job.folder / "data/dataset/train/chunk-00000.arrow"
    flip_a_byte(chunk)
    code, output = job.run()
    assert code == 65, output
    assert "split train, chunk 0" in output
    assert "checksum" in output
    assert "Traceback" not in output + logs(job)


@pytest.mark.slow
def test_a_damaged_commit_is_named_and_the_one_before_it_used(job: LocalJob) -> None:
    assert job.run()[0] == 0
    newest = max(job.run_folder.glob("a0/s*"), key=lambda folder: int(folder.name[1:]))
    flip_a_byte(next(newest.glob("dense*.safetensors")))
    code, output = job.run("--resume", settings=("spec.training.epochs=3",))
    assert code == 0, output
    log = logs(job)
    assert f"skipped a damaged commit: {newest}/dense.g1.safetensors: has checksum" in log
    assert "Traceback" not in output + log


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("run", "nowhere.yaml"), 64, "gmeta: nowhere.yaml: "),
        (("sweep", "nowhere.yaml", "--out", "out"), 64, "gmeta: nowhere.yaml: "),
        (("evaluate", "nowhere", "--dataset", "nowhere"), 67, "gmeta: nowhere: "),
        (("inspect", "nowhere"), 65, "gmeta: nowhere: "),
        (("compare", "nowhere"), 67, "gmeta: nowhere/report.json: cannot be read (No such file or directory)"),
        (("compare",), 2, "Missing argument 'RUNS...'"),
        (("evaluate", "nowhere", "--dataset", "nowhere", "--shots", "1,x"), 2, "such as 1,5,30; received '1,x'"),
        (("fetch", "netflix"), 2, "No such command 'netflix'"),
    ],
)
def test_a_command_without_its_input_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    received, output = call(*arguments)
    assert received == code, output
    assert message in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    "command", ["fetch", "prepare", "inspect", "validate", "plan", "run", "sweep", "evaluate", "compare"]
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    code, output = call(command, "--help")
    assert code == 0
    assert "Example" in output
