"""Where the time went: stories with known answers, and that everything adds up."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmeta_worker.coordination.goodput import Account, Goodput, entered, training_seconds
from gmeta_worker.coordination.messages import CommitRef, Finish, Formed, Member, Outcome, Progress, Recorded

MEMBER = Member(worker=0, process="process-a", host="h", port=1, first_rank=0, ranks=1)


OUTCOMES: tuple[Outcome, ...] = ("succeeded", "failed", "interrupted")


def after(*story: tuple[float, Recorded]) -> Goodput:
    """What a job has spent after these events."""
    account = Account()
    for at, message in story:
        account = entered(account, message, at)
    return account.spent


def progress(
    step: int,
    training: float,
    commit: float = 0.0,
    input_wait: float = 0.0,
    straggler: float = 0.0,
    *,
    generation: int = 1,
    attempt: int = 0,
) -> Progress:
    """`training` seconds in the loop, in which are those of commits; the other two are kept beside the phases."""
    return Progress(
        attempt=attempt,
        generation=generation,
        rank=0,
        epoch=0,
        step=step,
        total_steps=100,
        samples=step,
        tasks=step,
        loss=0.5,
        seconds={"gradients": training - commit, "commit": commit},
        bytes_read=0,
        queue_depth=0,
        wait_seconds=input_wait,
        straggler_seconds=straggler,
    )


def formed(generation: int, step: int | None = None, attempt: int = 0) -> Formed:
    commit = None if step is None else CommitRef(attempt=0, generation=1, step=step, path=f"a0/s{step}")
    return Formed(attempt=attempt, generation=generation, members=(MEMBER,), commit=commit)


def finish(outcome: Outcome = "succeeded") -> Finish:
    return Finish(attempt=0, outcome=outcome, message="done", exit_code=0)


def rounded(spent: Goodput) -> dict[str, float]:
    found = {name.removesuffix("_seconds"): round(seconds, 9) for name, seconds in spent.model_dump().items()}
    return {name: seconds for name, seconds in found.items() if seconds}


def test_training_is_productive_but_for_the_exposed_waiting() -> None:
    spent = after(
        (4.0, formed(1)),
        (10.0, progress(10, training=5.0, commit=0.5, input_wait=0.25)),
        (110.0, progress(210, training=105.0, commit=2.5, input_wait=1.25, straggler=7.0)),
    )
    assert rounded(spent) == {"startup": 5, "productive": 94.25, "commit": 2.5, "input": 1.25, "straggler": 7}
    assert training_seconds(spent) == 105


def test_steps_that_are_done_again_are_lost_and_so_is_the_time_between_two_rounds() -> None:
    """Step 100 is committed, 107 done when a rank is killed; the next round begins 3 s later, at step 100."""
    spent = after(
        (0.0, formed(1)),
        (107.0, progress(107, training=107.0)),
        (108.0, formed(2, step=100)),
        (114.0, progress(104, training=4.0, generation=2)),
        (120.0, progress(110, training=10.0, generation=2, commit=1.0)),
    )
    # The report at 120 s covers three steps again and three new ones, and the commit alike.
    assert rounded(spent) == {"productive": 107 + 2.5, "regroup": 3, "rework": 4 + 3, "commit": 0.5}


def test_a_round_that_begins_at_the_last_step_loses_nothing_twice() -> None:
    spent = after(
        (0.0, formed(1)),
        (10.0, progress(10, training=10.0)),
        (11.0, formed(2, step=10)),
        (14.0, progress(12, training=2.0, generation=2)),
    )
    assert rounded(spent) == {"productive": 12, "regroup": 2}


def test_after_the_last_step_the_evaluation_and_the_export_are_productive() -> None:
    done = (10.0, progress(100, training=10.0))
    assert rounded(after((0.0, formed(1)), done, (25.0, finish()))) == {"productive": 25}
    again = after((0.0, formed(1)), done, (12.0, formed(2, step=100)), (30.0, finish()))
    assert rounded(again) == {"productive": 10, "regroup": 20}


@pytest.mark.parametrize(
    ("outcome", "kind"), [("stopped", "productive"), ("interrupted", "commit"), ("failed", "regroup")]
)
def test_an_end_in_mid_run(outcome: Outcome, kind: str) -> None:
    spent = after((0.0, formed(1)), (10.0, progress(50, training=10.0)), (12.0, finish(outcome)))
    assert rounded(Goodput().plus(productive=10.0).plus(**{kind: 2.0})) == rounded(spent)


def test_the_time_between_two_attempts_is_nobodys() -> None:
    spent = after(
        (2.0, formed(1)),
        (12.0, progress(10, training=10.0)),
        (13.0, finish("interrupted")),
        (5000.0, formed(2, step=10, attempt=1)),
        (5003.0, progress(11, training=1.0, generation=2, attempt=1)),
    )
    assert rounded(spent) == {"startup": 2 + 2, "productive": 11, "commit": 1}
    assert spent.ratio == pytest.approx(11 / 16)


def test_a_job_that_has_not_begun_has_no_ratio() -> None:
    assert Goodput().ratio is None


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[float, Recorded]]:
    """One attempt: rounds that begin at some commit, reports whose clocks need not fit the coordinator's, an end."""
    now, furthest, story = draw(st.floats(0, 50)), 0, list[tuple[float, Recorded]]()
    for generation in range(1, draw(st.integers(1, 4)) + 1):
        step = draw(st.integers(0, furthest))
        story.append((now, formed(generation, step or None)))
        totals = (0.0, 0.0, 0.0, 0.0)
        for _ in range(draw(st.integers(0, 4))):
            now += draw(st.floats(0, 20))
            step += draw(st.integers(0, 9))
            loop, commit, waited, straggler = draw(st.tuples(*[st.floats(0, 10)] * 4))
            totals = (totals[0] + loop + commit, totals[1] + commit, totals[2] + waited, totals[3] + straggler)
            story.append((now, progress(step, *totals, generation=generation)))
        furthest = max(furthest, step)
        now += draw(st.floats(0, 20))
    if draw(st.booleans()):
        story.append((now, finish(draw(st.sampled_from(OUTCOMES)))))
    return story


def accounts(story: list[tuple[float, Recorded]]) -> Iterator[Account]:
    account = Account()
    for at, message in story:
        account = entered(account, message, at)
        yield account


@given(stories())
def test_everything_adds_up_and_no_total_falls(story: list[tuple[float, Recorded]]) -> None:
    before = Goodput()
    for account in accounts(story):
        spent = account.spent.model_dump()
        assert sum(spent.values()) == pytest.approx(account.until)
        assert all(seconds >= before.model_dump()[name] for name, seconds in spent.items())
        before = account.spent
    assert account.until <= story[-1][0]
    if story[-1][1].kind == "finish":
        assert sum(account.spent.model_dump().values()) == pytest.approx(story[-1][0])
