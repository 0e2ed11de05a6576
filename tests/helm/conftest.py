"""The helm programs that `make test` fetches."""

from pathlib import Path

import pytest
from charts import MAJORS, ROOT, Helm
from unavailable import unavailable


def helm_of(name: str, folder: Path) -> Helm:
    """A helm; the test is skipped, with the reason, where it was not fetched (in CI that is a failure)."""
    program = ROOT / ".cache/helm" / name
    if not program.exists():
        unavailable(f"{program} is not there: `make test` fetches it")
    return Helm(program, folder)


@pytest.fixture(params=MAJORS)
def each_helm(request: pytest.FixtureRequest, tmp_path: Path) -> Helm:
    """Helm 3, then helm 4."""
    return helm_of(request.param, tmp_path)


@pytest.fixture
def helm(tmp_path: Path) -> Helm:
    """Helm 4; `test_both_majors_render_the_same` stands for helm 3."""
    return helm_of("helm4", tmp_path)


@pytest.fixture
def helm3(tmp_path: Path) -> Helm:
    """Helm 3."""
    return helm_of("helm3", tmp_path)
