"""The three distributions build as wheels that hold all they need and nothing of each other."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DISTRIBUTIONS = {
    "crds": {"gmeta_api", "gmeta_kubectl"},
    "operator": {"gmeta_operator"},
    "worker": {"gmeta_worker"},
}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folder of each distribution -> its wheel, built from a copy so that no build output lands in the tree."""
    out = tmp_path_factory.mktemp("wheels")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    for folder in DISTRIBUTIONS:
        source = tmp_path_factory.mktemp(folder)
        files = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", folder],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout.split("\0")  # fmt: skip
        for name in filter(None, files):
            target = source / Path(name).relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
        subprocess.run([*build, str(source)], check=True, capture_output=True)
    return {folder: next(out.glob(f"{sorted(packages)[0]}-*.whl")) for folder, packages in DISTRIBUTIONS.items()}


@pytest.mark.parametrize("folder", sorted(DISTRIBUTIONS))
def test_a_wheel_holds_its_packages_only(wheels: dict[str, Path], folder: str) -> None:
    names = zipfile.ZipFile(wheels[folder]).namelist()
    packages = DISTRIBUTIONS[folder]
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == packages
    assert {f"{package}/py.typed" for package in packages} <= set(names)


@pytest.mark.parametrize(
    ("folders", "program"),
    [
        (["crds"], "import gmeta_api.load, gmeta_api.crd; print('ok')"),
        (["crds"], "from gmeta_kubectl.main import parser; parser().parse_args(['status']); print('ok')"),
        (["crds", "operator"], "import gmeta_operator.validity; print('ok')"),
        (["crds", "worker"], "from gmeta_worker.cli.main import gmeta; gmeta(['--help'], standalone_mode=False)"),
    ],
)
def test_a_wheel_runs_with_only_what_it_depends_on(
    wheels: dict[str, Path], tmp_path: Path, folders: list[str], program: str
) -> None:
    for folder in folders:
        zipfile.ZipFile(wheels[folder]).extractall(tmp_path)
    # -S keeps the editable installs of the other distributions out; third-party packages come from this environment.
    paths = [str(tmp_path), sysconfig.get_path("purelib")]
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {paths!r}\n{program}"],
        cwd=tmp_path, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "ok" in done.stdout or "gmeta prepare" in done.stdout or "Commands:" in done.stdout


def test_kubectl_finds_the_plugin(wheels: dict[str, Path]) -> None:
    wheel = zipfile.ZipFile(wheels["crds"])
    (path,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "kubectl-gmeta = gmeta_kubectl.main:main" in wheel.read(path).decode()
