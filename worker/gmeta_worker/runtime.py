"""What a process of a job is told by its environment: the same variables on a laptop and in a pod."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from gmeta_api.document import JobDocument
from gmeta_api.errors import ManifestError, Problem
from gmeta_api.spec import Spec
from gmeta_worker.checkpoint.object_path import Folder, ObjectPath


@dataclass(frozen=True)
class Runtime:
    """A process's view of its job.

    Attributes:
        document: the job, its attempt and its checked spec.
        volumes: folder of each volume, on a disk or in an object store.
        coordinator: address of the coordinator, `http://host:port`.
        metrics_port: where a worker serves its Prometheus metrics.
        worker_index: index of this worker among the job's workers.
        local_size: ranks of this worker.
        host: where the other workers reach this one.
        job_file: where the job document lies.
        last_words: file in which the coordinator leaves how the job ended; None where nobody reads it.
    """

    document: JobDocument
    volumes: Mapping[str, Folder]
    coordinator: str
    metrics_port: int
    worker_index: int
    local_size: int = 1
    host: str = "127.0.0.1"
    job_file: Path | None = None
    last_words: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Runtime":
        """Read the GMETA_* variables and the job document.

        Raises:
            ManifestError: a variable is missing or the document is not one of this version.
        """
        try:
            job = Path(environment["GMETA_JOB"])
            document = JobDocument.from_json(job.read_text())
            places = json.loads(environment["GMETA_VOLUMES"])
        except KeyError as missing:
            raise _problem(str(missing.args[0]), "expected this variable; start jobs with `gmeta run`") from None
        except OSError as error:
            raise _problem("GMETA_JOB", f"cannot read the job document: {error}") from None
        except (ValidationError, json.JSONDecodeError) as error:
            raise _problem("GMETA_JOB", f"the job document is not one of this version: {error}") from None
        return cls(
            document=document,
            volumes={name: _open_volume(document.spec, name, place) for name, place in places.items()},
            coordinator=environment.get("GMETA_COORDINATOR", ""),
            metrics_port=int(environment.get("GMETA_METRICS_PORT", "0")),
            worker_index=int(environment.get("GMETA_WORKER_INDEX", "0")),
            local_size=int(environment.get("GMETA_LOCAL_SIZE", "1")),
            host=environment.get("GMETA_HOST", "127.0.0.1"),
            job_file=job,
            last_words=Path(environment["GMETA_LAST_WORDS"]) if "GMETA_LAST_WORDS" in environment else None,
        )

    @property
    def dataset_folder(self) -> Path:
        """Where the Meta-IO dataset lies."""
        return self.data_folder / self.document.spec.data.path

    @property
    def data_folder(self) -> Path:
        """The volume of the dataset, and of the source that it is prepared from."""
        return self.local_folder(self.document.spec.data.volume, "spec.data.volume")

    @property
    def run_folder(self) -> Folder:
        """Where commits and the report go."""
        checkpoint = self.document.spec.checkpoint
        return self.volumes[checkpoint.volume] / checkpoint.path

    @property
    def origin_folder(self) -> Folder | None:
        """The run, or the commit, that training starts from; None where it starts from fresh weights."""
        origin = self.document.spec.training.init_from
        return None if origin is None else self.volumes[origin.volume] / origin.path

    def local_folder(self, name: str, field: str) -> Path:
        """The folder of a volume that `field` of the manifest names.

        Raises:
            ManifestError: the volume is an object store.
        """
        folder = self.volumes[name]
        if isinstance(folder, ObjectPath):
            raise _problem(field, f"'{name}' is an object store; only runs are kept there, data and exports in folders")
        return folder


def _open_volume(spec: Spec, name: str, place: str) -> Folder:
    if "://" not in place:
        return Path(place)
    store = next(volume.object_store for volume in spec.volumes if volume.name == name)
    endpoint = store.endpoint if store else None
    try:
        return ObjectPath.open(place, {"endpoint": endpoint} if endpoint else {})
    except OSError as error:
        raise _problem(f"spec.volumes: '{name}'", f"{place} cannot be opened: {error.strerror}") from None


def _problem(path: str, message: str) -> ManifestError:
    return ManifestError([Problem(path, message)])
