"""The numbers of workers that the coordinator goes by follow the job document's file."""

from collections.abc import Callable
from pathlib import Path

from gmeta_api.document import JobDocument
from gmeta_worker.coordination.membership import Rules
from gmeta_worker.coordination.rules import WatchedRules, rules_of


def with_workers(document: JobDocument, **workers: int) -> JobDocument:
    spec = document.spec.model_copy(update={"workers": document.spec.workers.model_copy(update=workers)})
    return document.model_copy(update={"spec": spec})


def put(path: Path, text: str) -> None:
    """Replace a file at once, as the kubelet does with a ConfigMap."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


def test_rules_of_a_spec(make_document: Callable[..., JobDocument]) -> None:
    plain = make_document()
    assert rules_of(plain.spec) == Rules(1, 1, 1024, 30.0, 6)
    assert rules_of(with_workers(plain, replicas=3).spec).min_replicas == 3
    assert rules_of(with_workers(plain, replicas=3, min_replicas=2, max_replicas=5).spec) == Rules(3, 2, 5, 30.0, 6)


def test_a_job_that_is_scaled(make_document: Callable[..., JobDocument], tmp_path: Path) -> None:
    document, path = make_document(), tmp_path / "job.json"
    rules = WatchedRules(document, path)
    assert rules().replicas == 1
    for replicas in (3, 2):
        put(path, with_workers(document, replicas=replicas).to_json())
        assert rules().replicas == replicas
    put(path, "half a docu")
    assert rules().replicas == 2
    path.unlink()
    assert rules().replicas == 2
