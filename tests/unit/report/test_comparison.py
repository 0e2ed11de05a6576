"""`gmeta compare`: what it reads, what it shows and what it refuses."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.unit.report.test_write import Page

from gmeta_api.document import JobDocument
from gmeta_api.errors import CheckpointError
from gmeta_worker.cli.compare import compare_runs
from gmeta_worker.report import write_report
from gmeta_worker.report.comparison import compare, compared_split, read_runs

MakeRun = Callable[..., Path]


@pytest.fixture
def run(history: Any, document: Callable[..., JobDocument], tmp_path: Path) -> MakeRun:
    """Makes the folder of an ended run: its name, last step, and AUC by split."""

    def make(name: str, steps: int, **auc: float) -> Path:
        history.__init__()
        history.formed(0.0).progress(1.0, 10, 0.5).progress(60.0, steps, 30.0)
        for split, value in auc.items():
            history.evaluation(70.0, steps, split, auc=value)
        folder = tmp_path / name
        folder.mkdir(parents=True)
        write_report(folder, document(), history.finish(90.0).events)
        return folder

    return make


def called(*arguments: object) -> Result:
    return CliRunner().invoke(compare_runs, [str(each) for each in arguments], catch_exceptions=False)


def words(text: str) -> list[str]:
    """The lines of a table, with single spaces."""
    return [" ".join(line.split()) for line in text.splitlines()]


def test_runs_stand_side_by_side_with_differences_to_the_first(run: MakeRun, tmp_path: Path) -> None:
    first, second = run("one", 100, valid=0.5, test=0.6), run("two", 1200, valid=0.5, test=0.64)
    page = tmp_path / "out.html"
    result = called(first, second, "--out", page)
    assert result.exit_code == 0, result.output
    printed = words(result.output)
    assert "one MAML DLRM succeeded 100 167 1 min 30 s" in printed
    assert "two MAML DLRM succeeded 1,200 2,000 1 min 30 s" in printed
    assert "test, differences to one" in printed
    assert "click 1 un-adapted one 0.6000 +0.0000 0.5000 +0.0000 0.6000 +0.0000" in printed
    assert "click 10 adapted two 0.6900 +0.0400 0.5000 +0.0000 0.6000 +0.0000" in printed
    assert len([line for line in printed if "adapted" in line]) == 2 * 2 * 2, "shots, modes, runs"
    parsed = Page(page.read_text())
    text = " ".join(parsed.words)
    assert "2 runs compared Scores of the test split; differences are to one." in text
    assert "click 10 adapted two 0.6900 +0.0400 0.5000 +0.0000 1.4000 +0.0000 0.6000 +0.0000 1.0200 +0.0000" in text
    assert len(parsed.images) == 2
    assert all(image.startswith(b"\x89PNG\r\n\x1a\n") for image in parsed.images)
    assert not re.search(r"https?://|@import|url\(|<link|<script", page.read_text())


def test_every_label_has_lines_of_its_own(history: Any, document: Callable[..., JobDocument], tmp_path: Path) -> None:
    history.formed(0.0).evaluation(70.0, 10, "test", auc=0.7, labels=("order", "click"))
    write_report(tmp_path, document(), history.finish(90.0).events)
    lines = compare(read_runs([tmp_path]), "test")
    cells = [(line.label, line.shot, line.adapted, round(line.value("auc"), 2)) for line in lines]
    assert cells == [
        ("order", 1, False, 0.7),
        ("order", 1, True, 0.75),
        ("order", 10, False, 0.7),
        ("order", 10, True, 0.75),
        ("click", 1, False, 0.6),
        ("click", 1, True, 0.65),
        ("click", 10, False, 0.6),
        ("click", 10, True, 0.65),
    ]
    page = " ".join(Page((tmp_path / "report.html").read_text()).words)
    assert "test split, order, after step 10" in page
    assert "test split, click, after step 10" in page
    assert page.index("0.7500 test AUC, 10-shot, adapted") < page.index("Quality by shot")


def test_a_run_that_lacks_the_split_shows_nothing_there(run: MakeRun, tmp_path: Path) -> None:
    runs = read_runs([run("one", 100, test=0.6), run("two", 100, valid=0.7)])
    lines = [line for line in compare(runs, "test") if line.run == "two"]
    assert len(lines) == 4
    assert all(math.isnan(line.value("auc")) and math.isnan(line.difference("auc")) for line in lines)
    lines = compare(runs, "valid")
    assert [line.run for line in lines] == ["one", "two"] * 4
    assert all(math.isnan(line.difference("auc")) for line in lines), "the first run has none"


def test_the_split_is_the_first_runs_last_one_unless_named(run: MakeRun) -> None:
    runs = read_runs([run("one", 100, valid=0.5, test=0.6), run("two", 100, train=0.7)])
    assert compared_split(runs, None) == "test"
    assert compared_split(runs, "train") == "train"
    with pytest.raises(CheckpointError, match="split 'tset': no run was scored on it; they were scored on test, valid"):
        compared_split(runs, "tset")
    with pytest.raises(CheckpointError, match="run three: was never evaluated"):
        compared_split(read_runs([run("three", 10)]), None)


def test_runs_of_one_name_are_shown_with_their_paths(run: MakeRun) -> None:
    folders = [run("a/same", 100, test=0.5), run("b/same", 100, test=0.6)]
    assert [each.name for each in read_runs(folders)] == [str(folder) for folder in folders]


def test_a_folder_without_a_whole_report_is_refused(run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected the run folder of a job that has ended"):
        read_runs([tmp_path])
    folder = run("one", 100, test=0.5)
    report = folder / "report.json"
    whole = report.read_text()
    report.write_text(whole.replace('"wall_seconds":', '"wall":'))
    with pytest.raises(CheckpointError, match=r"report.json: wall_seconds: Field required; the file is damaged"):
        read_runs([folder])
    report.write_text(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"report.json: the file: Invalid JSON"):
        read_runs([folder])


def test_a_wrong_command_line_is_a_usage_error(run: MakeRun, tmp_path: Path) -> None:
    folder = run("one", 100, test=0.5)
    result = called(folder, folder)
    assert (result.exit_code, "expected each run once" in " ".join(words(result.output))) == (2, True)
    result = called(folder, "--out", tmp_path / "nowhere" / "page.html")
    assert (result.exit_code, "No such file or directory" in " ".join(words(result.output))) == (2, True)
