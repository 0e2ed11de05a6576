"""What this version cannot do is refused by field, and what the environment lacks is named."""

from pathlib import Path

import pytest

from gmeta_api.document import JobDocument, JobIdentity
from gmeta_api.errors import ManifestError, ModelError
from gmeta_api.load import parse_job
from gmeta_api.spec import MetaTrainingJob
from gmeta_worker.local.site import volume_folders
from gmeta_worker.runtime import Runtime
from gmeta_worker.training.components import choose_device
from gmeta_worker.training.phases import PhaseClock
from gmeta_worker.training.supported import check_supported

BASE = {
    "apiVersion": "gmeta.dev/v1alpha1",
    "kind": "MetaTrainingJob",
    "metadata": {"name": "job"},
    "spec": {
        "volumes": [{"name": "data", "emptyDir": {}}],
        "data": {"volume": "data", "path": "set"},
        "checkpoint": {"volume": "data", "path": "run"},
    },
}
ONLY = "is valid, but this version of the worker supports only"


def job(**groups: object) -> MetaTrainingJob:
    spec = {**BASE["spec"], **groups}  # type: ignore[dict-item]
    return parse_job({**BASE, "spec": spec})


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            {"volumes": [{"name": "data", "objectStore": {"uri": "s3://bucket/jobs"}}]},
            f"spec.data.volume: an object store {ONLY} folders for data; use a claim, and copy the dataset to it",
        ),
    ],
)
def test_what_this_version_cannot_do_is_refused_by_name(groups: dict[str, object], message: str) -> None:
    with pytest.raises(ManifestError) as refused:
        check_supported(job(**groups).spec)
    assert str(refused.value) == message


def test_a_plain_job_is_supported() -> None:
    check_supported(job().spec)


@pytest.mark.parametrize("mapping", ["data", "data=", "=folder", "other=folder"])
def test_a_wrong_volume_mapping_is_refused(mapping: str) -> None:
    with pytest.raises(ManifestError) as refused:
        volume_folders(job(), [mapping])
    assert str(refused.value) == f"--volume: expected NAME=FOLDER with NAME one of data; received '{mapping}'"


def test_volumes_default_to_folders_of_their_name() -> None:
    assert volume_folders(job(), []) == {"data": Path("volumes/data").resolve()}
    assert volume_folders(job(), ["data=/elsewhere"]) == {"data": Path("/elsewhere")}


def test_a_missing_gpu_is_said() -> None:
    with pytest.raises(ModelError) as missing:
        choose_device("cuda")
    assert str(missing.value) == (
        "spec.training.device: 'cuda' was asked for, but this process sees no GPU; "
        "use 'auto' or 'cpu', or give the worker pods nvidia.com/gpu in spec.workers.resources.limits"
    )
    assert choose_device("auto").type == "cpu"


def test_a_process_reads_its_job_from_the_environment(tmp_path: Path) -> None:
    document = JobDocument(job=JobIdentity(name="job", namespace="default"), attempt=3, spec=job().spec)
    path = tmp_path / "job.json"
    path.write_text(document.to_json())
    environment = {"GMETA_JOB": str(path), "GMETA_VOLUMES": '{"data": "/v"}', "GMETA_WORKER_INDEX": "0"}
    runtime = Runtime.from_environment(environment)
    assert runtime.document == document
    assert (runtime.dataset_folder, runtime.run_folder) == (Path("/v/set"), Path("/v/run"))


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "GMETA_JOB: expected this variable; start jobs with `gmeta run`"),
        (
            {"GMETA_JOB": "/nowhere/job.json"},
            "GMETA_JOB: cannot read the job document: [Errno 2] No such file or directory: '/nowhere/job.json'",
        ),
    ],
)
def test_a_process_without_its_job_says_so(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ManifestError) as missing:
        Runtime.from_environment(environment)
    assert str(missing.value) == message


def test_phases_add_up_and_waiting_counts() -> None:
    times = iter([0.0, 2.0, 10.0, 10.5, 20.0, 20.25])
    clock = PhaseClock(lambda: next(times))
    with clock.measure("update"):
        pass
    assert list(clock.measured("input", ["batch"])) == ["batch"]
    assert clock.seconds == {"update": 2.0, "input": 0.75}
