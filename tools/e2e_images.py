"""Put the images of this checkout on the nodes of the test cluster: `e2e_images.py CLUSTER_SCRIPT`.

They are built by build-image.sh, which lies beside the script, and named gmeta-operator:e2e and gmeta-worker:e2e.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache"
PARTS = ("operator", "worker")
TAG = "e2e"


def wheel_options(find_links: str) -> list[str]:
    """Options of a build that give it the folders of wheels in pip's setting, such as one with torch."""
    folders = [folder for folder in find_links.split() if Path(folder).is_dir()]
    mounts = [part for folder in folders for part in ("-v", f"{folder}:{folder}:ro")]
    return [*mounts, "--build-arg", f"PIP_FIND_LINKS={' '.join(folders)}"] if folders else []


def find_links() -> str:
    """Where pip looks for wheels on this machine beside its index; nothing where that is not set."""
    command = [sys.executable, "-m", "pip", "config", "get", "global.find-links"]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout  # noqa: S603


def build(builder: Path, part: str, archive: Path, options: list[str]) -> None:
    """Build an image into an archive."""
    command = [str(builder), f"gmeta-{part}:{TAG}", str(archive), str(ROOT), "-f", str(ROOT / f"Dockerfile.{part}")]
    subprocess.run([*command, *options], check=True)  # noqa: S603


def main(cluster: Path) -> None:
    """Build both images, start the cluster unless it is up, and load them."""
    options = wheel_options(find_links())
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        archives = [Path(folder) / f"{part}.tar" for part in PARTS]
        for part, archive in zip(PARTS, archives, strict=True):
            build(cluster.with_name("build-image.sh"), part, archive, options)
        subprocess.run([str(cluster), "up"], check=True)  # noqa: S603
        subprocess.run([str(cluster), "load", *map(str, archives)], check=True)  # noqa: S603


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except subprocess.CalledProcessError as error:
        sys.exit(f"e2e_images: {error}")
