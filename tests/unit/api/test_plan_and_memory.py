"""What runs for a manifest, and what it costs; the DLRM's size by counting a list of layers by hand."""

import json
from dataclasses import replace
from typing import Any, get_args

import pytest

from gmeta_api.document import JobDocument
from gmeta_api.load import parse_job
from gmeta_api.memory import DatasetFacts, dlrm_parameters, estimate, row_bytes, table_rows
from gmeta_api.plan import Site, make_plan
from gmeta_api.spec import MetaTrainingJob, ModelSpec, ParallelismSpec
from gmeta_api.spec.optimizer import SparseOptimizerName
from gmeta_worker.embedding import build_row_optimizer
from gmeta_worker.models import ModelInputs, build_model

Manifest = dict[str, Any]

SITE = Site({"data": "/d", "runs": "/r"}, "/job.json", "host", 8470, 8471)
FACTS = DatasetFacts(vocabulary_sizes={"movie": 1000, "genres": 18}, features=2, numeric=3, labels=1, unique_rows=500)


@pytest.fixture
def job(manifest: Manifest) -> MetaTrainingJob:
    manifest["spec"]["workers"] = {
        "replicas": 2,
        "processesPerWorker": 4,
        "image": "train:1",
        "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
    }
    manifest["spec"]["runPolicy"] = {"ttlSecondsAfterFinished": 60}
    return parse_job(manifest)


def test_processes_their_commands_and_environment(job: MetaTrainingJob) -> None:
    plan = make_plan(job, SITE, attempt=3)
    assert [(process.role, process.index) for process in plan.processes] == [
        ("prepare", 0),
        ("coordinator", 0),
        ("worker", 0),
        ("worker", 1),
    ]
    assert plan.workers[1].command == ("python", "-m", "gmeta_worker", "worker")
    assert plan.workers[1].env == {
        "GMETA_COORDINATOR": "http://host:8470",
        "GMETA_JOB": "/job.json",
        "GMETA_LOCAL_SIZE": "4",
        "GMETA_METRICS_PORT": "8471",
        "GMETA_VOLUMES": json.dumps({"data": "/d", "runs": "/r"}),
        "GMETA_WORKER_INDEX": "1",
        "OMP_NUM_THREADS": "1",
    }
    assert "OMP_NUM_THREADS" not in plan.coordinator.env
    assert plan.world_size == 8
    assert plan.document.attempt == 3


def test_only_fields_that_are_in_the_manifest_are_ignored(job: MetaTrainingJob, manifest: Manifest) -> None:
    assert make_plan(job, SITE).ignored == ("spec.workers.image", "spec.runPolicy")
    del manifest["spec"]["workers"], manifest["spec"]["runPolicy"]
    assert make_plan(parse_job(manifest), SITE).ignored == ()


def test_without_prepare_nothing_prepares(manifest: Manifest) -> None:
    del manifest["spec"]["data"]["prepare"]
    assert make_plan(parse_job(manifest), SITE).prepare is None


def test_the_job_document_is_read_back(job: MetaTrainingJob) -> None:
    document = make_plan(job, SITE).document
    assert JobDocument.from_json(document.to_json()) == document
    assert "maxTaskRows" not in json.loads(document.to_json())["spec"]["data"]


def test_dlrm_parameters_by_hand() -> None:
    model = ModelSpec(embedding_dim=16, bottom=(64, 16), top=(64, 32))
    # three numerics: 3 -> 64 -> 16 -> 16; three vectors have 3 pairs; 16 + 3 -> 64 -> 32 -> 1
    bottom = (3 * 64 + 64) + (64 * 16 + 16) + (16 * 16 + 16)
    top = (19 * 64 + 64) + (64 * 32 + 32) + (32 + 1)
    assert dlrm_parameters(model, FACTS) == bottom + top
    # without numerics: two vectors have 1 pair; 1 -> 64 -> 32 -> 1
    assert dlrm_parameters(model, replace(FACTS, numeric=0)) == (64 + 64) + (64 * 32 + 32) + (32 + 1)


@pytest.mark.parametrize(("features", "numeric", "labels"), [(2, 0, 1), (2, 3, 2), (5, 1, 3), (1, 1, 1)])
def test_dlrm_parameters_are_those_of_the_model_itself(features: int, numeric: int, labels: int) -> None:
    spec = ModelSpec(embedding_dim=6, bottom=(7, 5), top=(4,))
    names = tuple(f"f{number}" for number in range(features))
    inputs = ModelInputs(
        numeric=tuple(f"n{number}" for number in range(numeric)),
        features=names,
        dim=6,
        labels=tuple(f"l{number}" for number in range(labels)),
    )
    built = sum(parameter.numel() for parameter in build_model(spec, inputs, seed=0).parameters())
    assert dlrm_parameters(spec, replace(FACTS, features=features, numeric=numeric, labels=labels)) == built


@pytest.mark.parametrize("optimizer", get_args(SparseOptimizerName))
def test_bytes_of_a_row_are_those_of_the_optimizer_itself(manifest: Manifest, optimizer: str) -> None:
    manifest["spec"]["optimizer"] = {"sparse": {"type": optimizer}}
    state = sum(build_row_optimizer(optimizer).state_widths(16).values())
    assert row_bytes(parse_job(manifest).spec) == 4 * (16 + state)


def test_rows_of_exact_hash_and_overridden_vocabularies(job: MetaTrainingJob) -> None:
    assert table_rows(job.spec.model, FACTS.vocabulary_sizes) == {"movie": 1001, "genres": 19}
    hashed = ModelSpec.model_validate(
        {"vocabulary": {"type": "hash", "rows": 50}, "vocabularies": [{"name": "genres", "type": "exact"}]}
    )
    assert table_rows(hashed, FACTS.vocabulary_sizes) == {"movie": 50, "genres": 19}


def test_the_cost_of_a_job(job: MetaTrainingJob) -> None:
    cost = estimate(job.spec, FACTS)
    dense = dlrm_parameters(job.spec.model, FACTS)
    assert cost.embedding_bytes == 1020 * 17 * 4
    assert cost.dense_bytes == dense * 16
    assert cost.lookup_bytes == 500 * 8 + 2 * 500 * 16 * 4
    assert cost.all_to_all_bytes == cost.lookup_bytes * 7 // 8
    assert cost.all_reduce_bytes == 2 * 4 * dense * 7 // 8
    assert (cost.ranks, cost.rank_rows, cost.rank_embedding_bytes) == (8, 128, 1020 * 17 * 4 // 8)
    assert cost.rank_bytes == 1020 * 17 * 4 // 8 + dense * 16 + cost.lookup_bytes


def test_rows_that_travel_in_bfloat16_take_half_the_bytes_on_the_way_and_none_less_in_memory(
    job: MetaTrainingJob,
) -> None:
    rounded = job.spec.model_copy(update={"parallelism": ParallelismSpec(exchange_precision="bfloat16")})
    whole, cost = estimate(job.spec, FACTS), estimate(rounded, FACTS)
    assert cost.all_to_all_bytes == (500 * 8 + 2 * 500 * 16 * 2) * 7 // 8
    assert cost.rank_bytes == whole.rank_bytes


def test_one_rank_exchanges_nothing_and_a_custom_model_has_no_known_size(manifest: Manifest) -> None:
    manifest["spec"]["model"] = {"type": "my.models:Tower"}
    cost = estimate(parse_job(manifest).spec, FACTS)
    assert cost.all_to_all_bytes == 0
    assert (cost.dense_parameters, cost.dense_bytes, cost.all_reduce_bytes, cost.rank_bytes) == (None,) * 4
