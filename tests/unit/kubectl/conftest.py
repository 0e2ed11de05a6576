"""The plugin with a fake kubectl: what it prints, with which exit code."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_kubectl import FakeKubectl

from gmeta_kubectl.main import main


@dataclass(frozen=True)
class Called:
    """How a command has ended."""

    code: int
    out: str
    err: str


Call = Callable[..., Called]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKubectl:
    (tmp_path / "bin").mkdir()
    made = FakeKubectl(tmp_path / "bin")
    monkeypatch.setenv("PATH", made.path())
    return made


@pytest.fixture
def call(fake: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str) -> Called:
        try:
            main(arguments)
        except SystemExit as end:
            return Called(int(end.code or 0), *capsys.readouterr())
        return Called(0, *capsys.readouterr())

    return run
