"""The operator's image, built for real: small, without torch, not root."""

import os
import subprocess
import tarfile
from pathlib import Path
from typing import IO

import pytest
from tools.image_layers import added, layers
from unavailable import unavailable

ROOT = Path(__file__).parents[2]
LIMIT = 160_000_000

pytestmark = pytest.mark.slow


def build(tag: str, out: Path, context: Path, *options: str) -> Path:
    """Build with the kit beside GMETA_TEST_CLUSTER; skipped, with the reason, where it is not set."""
    cluster = os.environ.get("GMETA_TEST_CLUSTER")
    if cluster is None:
        unavailable("GMETA_TEST_CLUSTER is not set: point it to the `cluster` script that build-image.sh lies beside")
    script = Path(cluster).parent / "build-image.sh"
    subprocess.run([str(script), tag, str(out), str(context), *options], check=True, capture_output=True, text=True)
    return out


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The operator's image and its base."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "base").mkdir()
    (folder / "base/Dockerfile").write_text("FROM python:3.11-slim-bookworm\n")
    base = build("gmeta-test-base:0.1.0", folder / "base.tar", folder / "base")
    return build("gmeta-operator:test", folder / "operator.tar", ROOT, "-f", str(ROOT / "Dockerfile.operator")), base


def files(layer: IO[bytes]) -> list[str]:
    with tarfile.open(fileobj=layer) as tar:
        return tar.getnames()


def test_what_it_adds_to_its_base(archives: tuple[Path, Path]) -> None:
    image, base = archives
    assert sum(layer.size for layer in added(layers(image), layers(base))) <= LIMIT


def test_it_holds_the_operator_and_no_torch(archives: tuple[Path, Path]) -> None:
    image, _ = archives
    with tarfile.open(image) as tar:
        parts = [tar.extractfile(member) for member in tar if member.isfile() and member.name.endswith(".tar")]
        names = [name for part in parts if part is not None for name in files(part)]
    assert "opt/gmeta/gmeta_operator/__main__.py" in names
    assert [name for name in names if "/torch/" in name or "/gmeta_worker/" in name] == []
    assert [name for name in names if name.startswith("opt/venv/") and "/pip/" in name] == []
