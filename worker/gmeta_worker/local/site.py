"""Where a plan runs when it runs here: folders for volumes, loopback for the coordinator."""

import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from gmeta_api.errors import ManifestError, Problem
from gmeta_api.plan import Site
from gmeta_api.spec import MetaTrainingJob

LOOPBACK = "127.0.0.1"


def volume_folders(job: MetaTrainingJob, mappings: Iterable[str]) -> dict[str, Path]:
    """The folder of each of the job's volumes: from `name=FOLDER` mappings, else `./volumes/<name>`.

    Raises:
        ManifestError: a mapping is malformed or names a volume that the manifest does not have.
    """
    names = [volume.name for volume in job.spec.volumes]
    folders = {name: Path("volumes") / name for name in names}
    for mapping in mappings:
        name, equals, folder = mapping.partition("=")
        if not equals or not folder or name not in folders:
            raise ManifestError(
                [Problem("--volume", f"expected NAME=FOLDER with NAME one of {', '.join(names)}; received '{mapping}'")]
            )
        folders[name] = Path(folder)
    return {name: folder.resolve() for name, folder in folders.items()}


def run_folder(job: MetaTrainingJob, folders: Mapping[str, Path]) -> Path:
    """Where the job's commits, log and report lie: the checkpoint's path on its volume."""
    checkpoint = job.spec.checkpoint
    return folders[checkpoint.volume] / checkpoint.path


def local_site(folders: Mapping[str, Path], job_path: Path) -> Site:
    """A site on loopback with two free ports."""
    coordinator, metrics = free_ports(2)
    return Site(
        volumes={name: str(folder) for name, folder in folders.items()},
        job_path=str(job_path),
        coordinator_host=LOOPBACK,
        coordinator_port=coordinator,
        metrics_port=metrics,
    )


def free_ports(count: int) -> list[int]:
    """Distinct TCP ports that are free on loopback now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
