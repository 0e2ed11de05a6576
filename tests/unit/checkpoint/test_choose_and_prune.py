import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gmeta_api.errors import CheckpointError
from gmeta_worker.checkpoint import CommitManifest, Score, best, list_commits, newest_valid, next_attempt, prune

WriteCommit = Callable[..., CommitManifest]


def auc(value: float) -> Score:
    return Score(metric="auc", value=value)


def loss(value: float) -> Score:
    return Score(metric="loss", value=value)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({10: None, 20: None}, None),
        ({10: auc(0.7), 20: auc(0.6), 30: None}, 10),
        ({10: auc(0.7), 20: auc(0.7)}, 20),
        ({10: loss(0.7), 20: loss(0.6), 30: loss(0.65)}, 20),
        ({10: auc(0.9), 20: loss(0.5)}, 20),
    ],
    ids=["none evaluated", "higher AUC", "newer on a tie", "lower loss", "newest metric decides"],
)
def test_best(scores: dict[int, Score | None], expected: int | None, write_commit: WriteCommit, tmp_path: Path) -> None:
    for step, score in scores.items():
        write_commit(step, score=score)
    found = best(tmp_path)
    assert (found.manifest.step if found else None) == expected


def test_best_passes_over_an_unreadable_manifest(write_commit: WriteCommit, tmp_path: Path) -> None:
    write_commit(10, score=auc(0.6))
    write_commit(20, score=auc(0.9))
    (tmp_path / "a0" / "s20" / "manifest.json").write_text("{")
    found = best(tmp_path)
    assert found is not None
    assert found.manifest.step == 10


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    commits=st.lists(
        st.tuples(st.tuples(st.integers(0, 2), st.integers(0, 5)), st.booleans(), st.none() | st.floats(0, 1)),
        max_size=8,
        unique_by=lambda commit: commit[0],
    ),
    keep=st.integers(1, 4),
)
def test_prune_keeps_the_newest_and_the_best_and_sweeps_what_is_half_written(
    commits: list[tuple[tuple[int, int], bool, float | None]],
    keep: int,
    write_commit: WriteCommit,
    tmp_path: Path,
) -> None:
    for folder in tmp_path.glob("a*"):
        shutil.rmtree(folder)
    for (attempt, step), whole, value in sorted(commits, key=lambda commit: commit[0]):
        write_commit(step, attempt, None if value is None else auc(value))
        if not whole:
            (tmp_path / f"a{attempt}" / f"s{step}" / "manifest.json").unlink()
    whole_ones = sorted((position for position, whole, _ in commits if whole), reverse=True)
    scored = [(value, position) for position, whole, value in commits if whole and value is not None]
    kept = set(whole_ones[:keep]) | ({max(scored)[1]} if scored else set())
    newest = max(whole_ones, default=(-1, -1))
    unfinished = {position for position, whole, _ in commits if not whole and position > newest}

    removed = prune(tmp_path, keep, newest)

    left = {(int(path.parent.name[1:]), int(path.name[1:])) for path in tmp_path.glob("a*/s*")}
    assert left == kept | unfinished
    assert len(removed) == len(commits) - len(left)
    assert {(folder.attempt, folder.step) for folder in list_commits(tmp_path)} == kept


def test_a_crash_while_pruning_leaves_no_damaged_commit(
    write_commit: WriteCommit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (10, 20, 30):
        write_commit(step)

    def crash(path: Path) -> None:
        (path / "dense.g1.safetensors").unlink()
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", crash)
        with pytest.raises(CheckpointError) as error:
            prune(tmp_path, 1, (0, 30))
    assert str(error.value) == (
        f"{tmp_path}/a0/s10: cannot delete the old commit (Input/output error); fix the folder's permissions"
    )
    assert [folder.step for folder in list_commits(tmp_path)] == [30, 20]
    assert newest_valid(tmp_path)[1] == ()
    assert [path.name for path in prune(tmp_path, 1, (0, 30))] == ["s10", "s20"]


def test_commits_that_training_has_gone_on_from_before_do_not_push_out_whole_ones(
    write_commit: WriteCommit, tmp_path: Path
) -> None:
    """Steps 10 and 20 were found damaged, so step 15 was made after step 5; attempt 1 is somebody else's."""
    for attempt, step in ((0, 5), (0, 10), (0, 15), (0, 20), (1, 2)):
        write_commit(step, attempt, auc(step / 100))
    (tmp_path / "a0" / "s30").mkdir()
    removed = prune(tmp_path, 2, (0, 15))
    assert {str(path).removeprefix(f"{tmp_path}/") for path in removed} == {"a0/s20", "a0/s10", "a0/s5"}
    assert [(folder.attempt, folder.step) for folder in list_commits(tmp_path)] == [(1, 2), (0, 15)]
    assert (tmp_path / "a0" / "s30").exists(), "somebody may be writing it"


def test_next_attempt(write_commit: WriteCommit, tmp_path: Path) -> None:
    assert next_attempt(tmp_path / "not there") == 0
    assert next_attempt(tmp_path) == 0
    write_commit(10, attempt=3)
    assert next_attempt(tmp_path) == 4
