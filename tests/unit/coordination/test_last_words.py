"""The status document as a pod's termination message: whole where it fits, never too long."""

import json

import pytest

from gmeta_api.document import JobIdentity
from gmeta_worker.coordination.commits import Commits
from gmeta_worker.coordination.last_words import MAX_BYTES, to_last_words
from gmeta_worker.coordination.messages import Evaluation, Finish, MetricRow
from gmeta_worker.coordination.state import State
from gmeta_worker.coordination.status import status_of

JOB = JobIdentity(name="movies", namespace="team")


def words(shots: int, message: str) -> str:
    rows = tuple(
        MetricRow(shot=shot, adapted=True, auc=0.7, gauc=0.6, loss=0.5, tasks=9, rows=99) for shot in range(shots)
    )
    evaluation = Evaluation(attempt=0, generation=1, rank=0, epoch=1, step=2, split="test", rows=rows, auc=0.7)
    finished = Finish(attempt=0, generation=1, outcome="succeeded", message=message, exit_code=0)
    state = State(0, Commits(JOB, {}), evaluation=evaluation, finished=finished)
    return to_last_words(status_of(state, JOB, 3, 10.0))


def test_the_end_and_the_scores_are_in_it() -> None:
    document = json.loads(words(4, "all steps are done"))
    assert document["finished"]["message"] == "all steps are done"
    assert [row["gauc"] for row in document["last_evaluation"]["rows"]] == [0.6] * 4
    assert (document["attempt"], document["state"]) == (0, "succeeded")


@pytest.mark.parametrize(("shots", "message"), [(200, "done"), (4, "long " * 10_000), (200, "long " * 10_000)])
def test_it_fits_into_a_termination_message(shots: int, message: str) -> None:
    text = words(shots, message)
    assert len(text.encode()) <= MAX_BYTES
    assert json.loads(text)["last_evaluation"]["auc"] == 0.7
