"""Where a plan runs when it runs here: folders for volumes, loopback for the coordinator."""

import random
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from gmeta_api.errors import ManifestError, Problem
from gmeta_api.plan import Site
from gmeta_api.spec import MetaTrainingJob

LOOPBACK = "127.0.0.1"
_SERVICE_PORTS = range(20_000, 30_000)
"""Below the ports that systems give to outgoing connections, one of which could take a free port before it is used."""
_draw = random.SystemRandom()


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


def local_site(job: MetaTrainingJob, folders: Mapping[str, Path], job_path: Path) -> Site:
    """A site on loopback, with free ports for the coordinator and every rank's metrics."""
    workers = job.spec.workers
    coordinator = free_ports(1 + workers.replicas * workers.processes_per_worker)
    return Site(
        volumes={name: str(folder) for name, folder in folders.items()},
        job_path=str(job_path),
        coordinator_host=LOOPBACK,
        coordinator_port=coordinator,
        metrics_port=coordinator + 1,
        worker_host=LOOPBACK,
        ports_apart=workers.processes_per_worker,
    )


def free_ports(count: int) -> int:
    """The first of `count` TCP ports in a row that are free on loopback now."""
    while True:
        first = _draw.choice(_SERVICE_PORTS)
        if all(_is_free(port) for port in range(first, first + count)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
