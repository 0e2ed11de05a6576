"""`make bench` runs what can be run here and says of the rest what it lacks."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from bench import every
from bench.every import BENCHES, Bench


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with the benchmarks `good` and `bad`, which write a file `done` beside their own name."""
    for name, code in {"good": 0, "bad": 1}.items():
        script = f"import pathlib, sys\npathlib.Path(__file__).with_suffix('.done').touch()\nsys.exit({code})\n"
        (tmp_path / f"{name}.py").write_text(script)
    monkeypatch.setattr(Bench, "command", lambda self, out: [sys.executable, str(out / f"{self.name}.py")])
    return tmp_path


def test_each_names_a_module_and_is_given_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(find_spec(f"bench.{each.name}") for each in BENCHES)
    assert len({each.name for each in BENCHES}) == len(BENCHES)
    monkeypatch.setenv("GMETA_TEST_DATA", "/data")
    command = Bench("prepare", ("--data", "{DATA}")).command(Path("out"))
    assert command[1:] == ["-m", "bench", "prepare", "--data", "/data", "--out", "out/prepare.json"]


def test_one_that_lacks_something_is_left_out_and_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GMETA_TEST_CLUSTER", raising=False)
    lacking = Bench("operator", variables=("GMETA_TEST_CLUSTER",), modules=("no_such_module", "json"))
    monkeypatch.setattr(every, "BENCHES", (lacking,))
    told = "left out: it needs the variable GMETA_TEST_CLUSTER and the module no_such_module"
    assert list(every.run(Path("out"))) == [("operator", told, 0.0)]
    assert every.main(["--out", "out"]) == 0


def test_one_that_misses_a_goal_does_not_keep_the_others_from_running(
    scripts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(every, "BENCHES", (Bench("bad"), Bench("good")))
    ended = [(name, how) for name, how, _ in every.run(scripts)]
    assert ended == [("bad", "exit code 1: see its table"), ("good", "every goal met")]
    assert (scripts / "good.done").exists()
    assert every.main(["--out", str(scripts)]) == 1
