"""What the images are built from, and how they are measured."""

import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tools.e2e_images import wheel_options
from tools.image_layers import added, layers
from tools.third_party import requirements

ROOT = Path(__file__).parents[2]
DOCKERFILES = ("Dockerfile.operator", "Dockerfile.worker")


def archive(path: Path, contents: dict[str, tuple[str, bytes]]) -> Path:
    """A docker-archive: digest -> (instruction, layer). An instruction without a layer lies between them."""
    config = {
        "rootfs": {"diff_ids": list(contents)},
        "history": [{"created_by": "ENV A=1", "empty_layer": True}]
        + [{"created_by": instruction} for instruction, _ in contents.values()],
    }
    members = {f"{digest}.tar": layer for digest, (_, layer) in contents.items()}
    manifest = [{"Config": "config.json", "Layers": list(members)}]
    members |= {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


BASE = {"a": ("ADD rootfs", b"x" * 100)}
ABOVE = {"b": ("RUN useradd", b"x" * 20), "c": ("COPY venv", b"x" * 3_000_000)}


def test_layers_above_the_base(tmp_path: Path) -> None:
    image = layers(archive(tmp_path / "image.tar", BASE | ABOVE))
    base = layers(archive(tmp_path / "base.tar", BASE))
    assert [(layer.size, layer.made_by) for layer in added(image, base)] == [
        (20, "RUN useradd"),
        (3_000_000, "COPY venv"),
    ]


def test_another_base_is_refused(tmp_path: Path) -> None:
    image, other = archive(tmp_path / "image.tar", ABOVE), archive(tmp_path / "base.tar", BASE)
    with pytest.raises(ValueError, match=r"^the image is not made on this base: its lowest layers are others$"):
        added(layers(image), layers(other))


def test_the_table_of_layers(tmp_path: Path) -> None:
    image, base = archive(tmp_path / "image.tar", BASE | ABOVE), archive(tmp_path / "base.tar", BASE)
    command = [sys.executable, str(ROOT / "tools/image_layers.py"), str(image), str(base)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "     0.0 MB  RUN useradd",
        "     3.0 MB  COPY venv",
        "     3.0 MB  above the base",
    ]


def test_requirements_of_the_images() -> None:
    operator = requirements([str(ROOT / "crds"), str(ROOT / "operator")])
    worker = requirements([str(ROOT / "crds"), str(ROOT / "worker")])
    assert [name for name in (*operator, *worker) if name.startswith("gmeta")] == []
    assert operator == sorted(set(operator))
    assert any(name.startswith("kopf") for name in operator)
    assert not any(name.startswith("torch") for name in operator)
    # The worker's image installs these two first, by a pattern on this list.
    assert [name for name in worker if re.match(r"(torch|numpy)[^a-z]", name)] == ["numpy>=2", "torch>=2.11,<2.14"]


def test_the_folders_of_wheels_of_this_machine_are_mounted_into_a_build(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    setting = f"{folders[0]}\nhttps://index.example/wheels {tmp_path / 'missing'} {folders[1]}\n"
    mounts = [part for folder in folders for part in ("-v", f"{folder}:{folder}:ro")]
    assert wheel_options(setting) == [*mounts, "--build-arg", f"PIP_FIND_LINKS={folders[0]} {folders[1]}"]
    assert wheel_options("") == []


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_has_no_objection(name: str) -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([str(hadolint), name], cwd=ROOT, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_needs_no_root_and_any_builder_builds_it(name: str) -> None:
    text = (ROOT / name).read_text()
    final = text.rpartition("FROM ")[2]
    assert re.search(r"^RUN useradd --uid 10001 .* gmeta$", final, re.MULTILINE)
    assert re.findall(r"^USER (.*)$", final, re.MULTILINE) == ["10001:10001"]
    assert "--link" not in text
    assert "<<" not in text


def test_the_build_context_is_what_the_images_copy() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for name in DOCKERFILES
        for line in (ROOT / name).read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    outside = {source for source in copied if not any(source == top or source.startswith(f"{top}/") for top in allowed)}
    assert outside == set()
    assert all((ROOT / source).exists() for source in copied)
