"""Imports run one way: gmeta_api <- kubectl plugin, operator and worker; the worker's building blocks stand alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGES = {
    "gmeta_api": ROOT / "crds/gmeta_api",
    "gmeta_kubectl": ROOT / "crds/gmeta_kubectl",
    "gmeta_operator": ROOT / "operator/gmeta_operator",
    "gmeta_worker": ROOT / "worker/gmeta_worker",
}
HEAVY = ("torch", "numpy", "pyarrow", "kubernetes", "kopf")
BLOCKS = ("metaio", "embedding", "parallel", "layers")
# folder of the worker -> the other folders of the worker it may import
MAY_IMPORT: dict[str, set[str]] = {
    **{block: set() for block in BLOCKS},
    "evaluation": {"parallel"},
    "datasets": set(),
    "models": {"layers", "plugin"},
    "meta": {"layers", "models", "plugin"},
    "checkpoint": set(),
    "coordination": {"checkpoint"},
    "membership": {"coordination", "parallel", "runtime"},
    "metrics": set(),
    "report": {"checkpoint", "coordination"},
    "tensorboard": {"checkpoint", "coordination", "report", "training"},
}


def imported(file: Path) -> Iterator[str]:
    """Every module that `file` imports, as a dotted name."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("gmeta_api", ("gmeta_kubectl", "gmeta_operator", "gmeta_worker", *HEAVY)),
        ("gmeta_kubectl", ("gmeta_operator", "gmeta_worker", *HEAVY)),
        ("gmeta_operator", ("gmeta_kubectl", "gmeta_worker", "torch")),
        ("gmeta_worker", ("gmeta_kubectl", "gmeta_operator")),
    ],
)
def test_distributions_import_one_way(package: str, forbidden: tuple[str, ...]) -> None:
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in PACKAGES[package].rglob("*.py")
        for name in imported(file)
        if name.split(".")[0] in forbidden
    ]
    assert wrong == []


def test_only_one_module_of_the_plugin_starts_processes() -> None:
    files = {file.name for file in PACKAGES["gmeta_kubectl"].rglob("*.py") if "subprocess" in set(imported(file))}
    assert files == {"kubectl.py"}


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_worker_folders_import_one_way(folder: str) -> None:
    allowed = {folder, *MAY_IMPORT[folder]}
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in (PACKAGES["gmeta_worker"] / folder).rglob("*.py")
        for name in imported(file)
        if name.startswith("gmeta_worker.") and name.split(".")[1] not in allowed
    ]
    assert wrong == []


def test_every_distribution_has_files_to_check() -> None:
    assert all(list(folder.rglob("*.py")) for folder in PACKAGES.values())
