import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from gmeta_api.document import JobIdentity
from gmeta_worker.coordination.commits import Commits
from gmeta_worker.coordination.membership import Rules
from gmeta_worker.coordination.messages import Accepted, ClassRow, Committed, Ended, Orders, Progress, Refusal, Round
from gmeta_worker.coordination.state import Append, Publish, State, Transition, transition, with_commit
from gmeta_worker.coordination.status import status_of

JOB = JobIdentity(name="demo", namespace="default")


def fresh(attempt: int = 0) -> State:
    return State(attempt, Commits(JOB, {"model": {}}))


def after(state: State, *sent: Any) -> Transition:
    """The last transition after `sent`, one a second."""
    result = Transition(state, Accepted())
    for second, message in enumerate(sent):
        result = transition(result.state, message, float(second))
    return result


def test_the_first_process_becomes_rank_0_of_generation_1(messages: Any) -> None:
    result = after(fresh(), messages.join())
    assert result.reply == Round(
        generation=1, members=(messages.member(),), place=0, world_size=1, commit=None, weights=(1.0,)
    )
    assert result.effects == (Append(messages.formed(), 0.0, 1),)


def test_a_repeated_join_gives_the_same_place_and_is_not_recorded(messages: Any) -> None:
    first = after(fresh(), messages.join())
    again = transition(first.state, messages.join(), 9.0)
    assert again.reply == first.reply
    assert again.effects == ()


def test_another_process_raises_the_generation_and_fences_the_old_one(messages: Any) -> None:
    state = after(fresh(), messages.join("process-a"), messages.join("process-b")).state
    assert state.generation == 2
    for message in (messages.progress(), messages.evaluation(), messages.shard(5), messages.finish()):
        result = transition(state, message, 1.0)
        assert result == Transition(
            state,
            Refusal(
                reason="fenced",
                message="generation 1 is not current, generation 2 is: another process has taken over, "
                "this one must stop",
            ),
        )


def test_the_old_process_cannot_come_back(messages: Any) -> None:
    result = after(fresh(), messages.join("process-a"), messages.join("process-b"), messages.join("process-a"))
    assert result.reply == Refusal(
        reason="fenced", message="process process-a has been replaced by a newer one of its worker; it must stop"
    )
    assert result.state.generation == 2


def test_an_export_is_told_until_it_is_whole_or_broken_off(messages: Any) -> None:
    begun, whole = messages.export(), messages.export(created="2026-01-02T12:00:00Z")
    first = after(fresh(), messages.join(), begun)
    assert first.effects == (Append(begun, 1.0, 1),)
    assert transition(first.state, begun, 2.0).effects == (), "the same again"
    assert status_of(first.state, JOB, None, 2.0).export == begun
    broken_off = after(first.state, messages.join("process-b")).state
    assert status_of(broken_off, JOB, None, 9.0).export is None
    made = after(first.state, whole, messages.join("process-b")).state
    assert status_of(made, JOB, None, 9.0).export == whole


@pytest.mark.parametrize("kind", ["join", "progress", "export", "finish"])
@pytest.mark.parametrize("attempt", [1, 3])
def test_other_attempts_are_fenced(messages: Any, kind: str, attempt: int) -> None:
    result = after(fresh(attempt=2), getattr(messages, kind)(attempt=attempt))
    assert result.reply == Refusal(
        reason="fenced",
        message=f"attempt {attempt} is not current, attempt 2 is: another process has taken over, this one must stop",
    )


def test_who_has_not_joined_is_no_member(messages: Any) -> None:
    reply = after(fresh(), messages.progress(generation=0)).reply
    assert reply == Refusal(
        reason="fenced",
        message="rank 0 is no member of generation 0: another process has taken over, this one must stop",
    )
    reply = after(fresh(), messages.join(), messages.progress(rank=1)).reply
    assert isinstance(reply, Refusal)
    assert reply.message.startswith("rank 1 is no member of generation 1: ")


def test_a_worker_beyond_the_limit_is_told_why_it_cannot_join(messages: Any) -> None:
    state = replace(fresh(), rules=Rules(max_replicas=2))
    assert after(state, messages.join(worker=2)).reply == Refusal(
        reason="invalid",
        message="worker 2 cannot join: the job has at most 2 workers, numbered from 0; raise spec.workers.maxReplicas",
    )


def test_a_commit_is_published_before_it_is_recorded(messages: Any) -> None:
    result = after(fresh(), messages.join(), messages.shard(5))
    assert result.reply == Committed(step=5)
    publish, record = result.effects
    assert isinstance(publish, Publish)
    assert record == Append(messages.shard(5), 1.0, 1)
    assert publish.manifest == result.state.commits.newest
    assert (publish.manifest.job, publish.manifest.spec) == (JOB, {"model": {}})
    assert publish.manifest.folder == "a0/s5"


def test_a_repeated_commit_is_confirmed_and_not_made_again(messages: Any) -> None:
    result = after(fresh(), messages.join(), messages.shard(5), messages.shard(5))
    assert (result.reply, result.effects, result.state.commits.made) == (Committed(step=5), (), 1)


@pytest.mark.parametrize(("step", "variant"), [(4, 0), (5, 1)])
def test_a_commit_is_neither_replaced_nor_overtaken(messages: Any, step: int, variant: int) -> None:
    result = after(fresh(), messages.join(), messages.shard(5), messages.shard(step, variant))
    assert result.effects == ()
    assert result.reply == Refusal(
        reason="order",
        message=f"step {step} cannot be committed: step 5 is the newest commit of this attempt, and "
        "a commit is neither replaced nor overtaken; join again and go on from it",
    )


def test_a_new_attempt_may_commit_the_step_that_it_started_from(messages: Any) -> None:
    old = after(fresh(), messages.join(), messages.shard(5)).state.commits.newest
    state = with_commit(fresh(attempt=1), old, ())
    result = after(state, messages.join(attempt=1), messages.shard(5, 1, attempt=1, generation=2))
    assert result.reply == Committed(step=5)
    assert result.state.generation == 2, "generations go on where the older attempt's commit was"


def test_a_commit_with_missing_blocks_is_refused(messages: Any) -> None:
    result = after(fresh(), messages.join(), messages.shard(5, files=messages.files()[:1]))
    assert result.reply == Refusal(reason="invalid", message="step 5: row files hold blocks 0..0 of 4096")


def test_nothing_is_accepted_after_the_end_but_the_same_end(messages: Any) -> None:
    ended = after(fresh(), messages.join(), messages.finish()).state
    assert transition(ended, messages.finish(), 1.0).reply == Accepted()
    for message in (messages.shard(5), messages.finish(outcome="failed", exit_code=1)):
        assert transition(ended, message, 5.0) == Transition(
            ended,
            Refusal(reason="finished", message="attempt 0 has ended (succeeded); start the job again to go on"),
        )


def test_members_are_told_of_the_end_until_they_leave(messages: Any) -> None:
    state = after(fresh(), messages.join(), messages.finish()).state
    end = Ended(outcome="succeeded", message="all done", exit_code=0)
    assert transition(state, messages.join("process-b", worker=1), 2.0).reply == end
    told = transition(state, messages.beat(), 2.0).reply
    assert isinstance(told, Orders)
    assert (told.rejoin, told.ended) == (True, end)
    assert state.membership.anybody
    assert not transition(state, messages.leave(), 3.0).state.membership.anybody


def test_a_supervisor_may_end_the_attempt_without_being_a_member(messages: Any) -> None:
    result = after(fresh(), messages.finish(generation=None, outcome="failed", exit_code=137))
    assert result.reply == Accepted()
    assert status_of(result.state, JOB, None, 1.0).state == "failed"


def test_status_of_a_job_that_nobody_has_joined() -> None:
    status = status_of(fresh(), JOB, 10, 0.0)
    assert (status.state, status.workers, status.progress, status.commit) == ("pending", (), None, None)


def test_classes_of_tasks_are_among_the_events_and_not_in_the_status(messages: Any) -> None:
    row = messages.evaluation().rows[0]
    classes = (ClassRow(task_class="1-9", **row.model_dump()),)
    evaluation = messages.evaluation(classes=classes)
    result = after(fresh(), messages.join(), evaluation)
    assert [each.message for each in result.effects if isinstance(each, Append)] == [evaluation]
    shown = status_of(result.state, JOB, 10, 1.0).last_evaluation
    assert shown is not None
    assert shown == evaluation.model_copy(update={"classes": ()})
    assert shown.rows == evaluation.rows


def test_status_of_a_running_job(messages: Any) -> None:
    sent = [messages.join(), *(messages.progress(step) for step in (1, 2, 3)), messages.evaluation(3)]
    status = status_of(after(fresh(), *sent, messages.shard(3)).state, JOB, 10, 7.5)
    progress = status.progress
    assert progress is not None
    assert (status.state, progress.step, progress.total_steps, progress.epochs) == ("running", 3, 100, 10)
    assert progress.samples_per_second == pytest.approx(50.0)
    assert progress.tasks_per_second == pytest.approx(2.0)
    assert progress.input_wait_share == pytest.approx(0.01)
    assert progress.auc == pytest.approx(0.65)
    assert status.commit is not None
    assert (status.commit.path, status.commits, status.evaluations) == ("a0/s3", 1, 1)
    (worker,) = status.workers
    assert (worker.worker, worker.first_rank, worker.host) == (0, 0, "host-0")
    assert (status.world_size, status.restarts, status.waiting) == (1, {}, ())


def test_numbers_that_are_not_finite_are_null_in_the_status_document(messages: Any) -> None:
    state = after(fresh(), messages.join(), messages.progress(loss=math.inf)).state
    text = status_of(state, JOB, None, 1.0).model_dump_json()
    assert '"loss":null' in text
    assert '"auc":null' in text
    assert math.isnan(type(status_of(state, JOB, None, 1.0)).model_validate_json(text).progress.loss)  # type: ignore[union-attr]


def test_a_repeated_evaluation_counts_once_even_if_it_is_undefined(messages: Any) -> None:
    rows = tuple(row.model_copy(update={"auc": math.nan}) for row in messages.evaluation().rows)
    once = messages.evaluation(rows=rows)
    result = after(fresh(), messages.join(), once, once.model_validate_json(once.model_dump_json()))
    assert (result.state.evaluations, result.effects) == (1, ())


def test_events_stay_few_and_the_last_progress_is_always_among_them(messages: Any) -> None:
    state = after(fresh(), messages.join()).state
    recorded: list[tuple[float, int]] = []
    for second in range(1, 20_001):
        state = transition(state, messages.beat(), float(second)).state
        result = transition(state, messages.progress(second), float(second))
        appended = [effect for effect in result.effects if isinstance(effect, Append)]
        recorded += [(each.at, each.message.step) for each in appended if isinstance(each.message, Progress)]
        state = result.state
    assert recorded[:200] == [(float(second), second) for second in range(1, 201)]
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(recorded)]
    assert all(gap <= 1 + at / 199 for gap, (at, _) in zip(gaps, recorded[1:], strict=True))
    assert len(recorded) < 200 * (1 + math.log(20_000 / 200))
    assert recorded[-1] != (20_000.0, 20_000)
    assert transition(state, messages.finish(), 20_000.5).effects == (
        Append(messages.progress(20_000), 20_000.0, 1),
        Append(messages.finish(), 20_000.5, 1),
    )
    assert transition(state, messages.join("process-b"), 20_000.5).effects == (
        Append(messages.progress(20_000), 20_000.0, 1),
        Append(
            messages.formed(
                2, members=(messages.member("process-b"),), cause="replaced", reason="worker 0 was started again"
            ),
            20_000.5,
            2,
        ),
    )


def test_refusals_and_repetitions_record_nothing(messages: Any) -> None:
    state = after(fresh(), messages.join(), messages.evaluation(1)).state
    state = transition(transition(state, messages.progress(1), 1000.0).state, messages.progress(2), 1000.5).state
    for message in (messages.evaluation(1), messages.join(), messages.finish(generation=0)):
        assert transition(state, message, 1001.0).effects == ()
