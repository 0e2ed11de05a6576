"""What a manifest says about membership; its numbers of workers may change while the job runs."""

from pathlib import Path

from pydantic import ValidationError

from gmeta_api.document import JobDocument
from gmeta_api.spec import Spec
from gmeta_api.spec.workers import MAX_WORKERS
from gmeta_worker.coordination.membership import Rules


def rules_of(spec: Spec) -> Rules:
    """What a spec says about membership."""
    workers, faults = spec.workers, spec.fault_tolerance
    return Rules(
        replicas=workers.replicas,
        min_replicas=workers.min_replicas or workers.replicas,
        max_replicas=workers.max_replicas or MAX_WORKERS,
        heartbeat_seconds=faults.heartbeat_seconds,
        backoff_limit=faults.backoff_limit,
    )


class WatchedRules:
    """The rules of the job document as its file has them now: on a cluster it changes when the job is scaled.

    Args:
        document: the job as it was read first; its rules hold while the file cannot be read.
        path: the file; None where nobody writes it anew.
    """

    def __init__(self, document: JobDocument, path: Path | None) -> None:
        self._path = path
        self._rules = rules_of(document.spec)
        self._seen: tuple[int, int] | None = None

    def __call__(self) -> Rules:
        """The rules of this moment."""
        if self._path is not None:
            self._look(self._path)
        return self._rules

    def _look(self, path: Path) -> None:
        try:
            status = path.stat()
            if (seen := (status.st_ino, status.st_mtime_ns)) == self._seen:
                return
            self._rules = rules_of(JobDocument.from_json(path.read_text()).spec)
        except (OSError, ValidationError):
            return
        self._seen = seen
