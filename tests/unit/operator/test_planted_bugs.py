"""The histories are worth something: each of these bugs, planted into the operator, is caught by them."""

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from convergence import histories_of, run_histories
from simulated import Server

from gmeta_api.objects import Object, pod_group_reference
from gmeta_operator import decide, events, failures, goodput, reconcile
from gmeta_operator.client import ApiError
from gmeta_operator.controller import Controller
from gmeta_operator.history import History, read_history
from gmeta_operator.observer import Memory, Observer
from gmeta_operator.reconcile import Plan
from gmeta_operator.store import Key, Resource, Store
from gmeta_operator.timestamps import from_text
from gmeta_operator.view import View
from gmeta_operator.writer import Writer

HISTORIES = 300
MANY_HISTORIES = 2500

Plant = Callable[[pytest.MonkeyPatch], None]
BUGS: dict[str, Plant] = {}
SUBTLE: dict[str, Plant] = {}


def bug(plant: Plant) -> Plant:
    """A bug that has to be caught within a few histories."""
    BUGS[plant.__name__] = plant
    return plant


def subtle(plant: Plant) -> Plant:
    """A bug that few histories bring out."""
    SUBTLE[plant.__name__] = plant
    return plant


@bug
def a_conflict_is_taken_for_success(patch: pytest.MonkeyPatch) -> None:
    async def make(self: Writer, plan: Plan) -> None:
        for thing in plan.applies:
            await self.api.apply(thing)
        for pod in plan.creates:
            try:
                self.store.put_pod(await self.api.create(pod))
            except ApiError as error:
                if error.status != 409:
                    raise

    patch.setattr(Writer, "make", make)


@bug
def an_old_event_overwrites_what_is_known(patch: pytest.MonkeyPatch) -> None:
    def is_news(self: Store, found: Resource, known: Resource | None) -> bool:
        return found["metadata"]["uid"] not in self._gone

    patch.setattr(Store, "_is_news", is_news)


@subtle
def a_late_event_revives_what_is_gone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "_forget", lambda self, uid: None)


@subtle
def the_cache_is_trusted(patch: pytest.MonkeyPatch) -> None:
    honest = Observer.catch_up

    async def catch_up(self: Observer, key: Key, memory: Memory) -> bool:
        await honest(self, key, memory)
        return True

    patch.setattr(Observer, "catch_up", catch_up)


@bug
def nothing_is_read_at_first_sight(patch: pytest.MonkeyPatch) -> None:
    async def read(self: Observer, key: Key, memory: Memory) -> None:
        memory.read = self.clock()

    patch.setattr(Observer, "read", read)


@bug
def the_attempt_of_the_pods_is_ignored(patch: pytest.MonkeyPatch) -> None:
    def forgetful(status: Mapping[str, Any], pods: Any, *, suspend: bool) -> History:
        return replace(read_history(status, pods, suspend=suspend), attempt=status.get("attempt", 0))

    patch.setattr(reconcile, "read_history", forgetful)


@subtle
def pods_of_former_attempts_count(patch: pytest.MonkeyPatch) -> None:
    def newest(self: View) -> dict[Any, Any]:
        ordered = sorted(self.pods, key=lambda pod: pod.number)
        return {pod.slot: pod for pod in ordered if pod.slot in self.slots}

    patch.setattr(View, "newest", property(newest))


@subtle
def the_former_group_is_not_awaited(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decide, "_former_group_alive", lambda view: False)


@bug
def the_status_is_written_twice(patch: pytest.MonkeyPatch) -> None:
    honest = Writer.tell

    async def tell(self: Writer, plan: Plan) -> None:
        await honest(self, plan)
        if plan.status is not None:
            job = self.store.job((plan.job["metadata"]["namespace"], plan.job["metadata"]["name"]))
            assert job is not None
            await self.api.apply_status(job, {**plan.status, "reason": "Twice"})

    patch.setattr(Writer, "tell", tell)


@bug
def pods_are_deleted_before_the_status_tells(patch: pytest.MonkeyPatch) -> None:
    honest = Writer.tell

    async def tell(self: Writer, plan: Plan) -> None:
        await honest(self, replace(plan, status=None, events=()))
        await honest(self, replace(plan, deletes=()))

    patch.setattr(Writer, "tell", tell)


@bug
def the_status_is_written_over_a_newer_one(patch: pytest.MonkeyPatch) -> None:
    honest = Server.apply_status

    async def apply_status(self: Server, job: Resource, status: Resource) -> Object:
        return await honest(self, self.job or job, status)

    patch.setattr(Server, "apply_status", apply_status)


@subtle
def restarts_are_only_in_the_status(patch: pytest.MonkeyPatch) -> None:
    def forgetful(status: Mapping[str, Any], pods: Any, *, suspend: bool) -> History:
        return replace(
            read_history(status, pods, suspend=suspend), restarts=read_history(status, (), suspend=suspend).restarts
        )

    patch.setattr(reconcile, "read_history", forgetful)


@subtle
def a_pod_that_was_removed_is_made_again(patch: pytest.MonkeyPatch) -> None:
    def forgetful(status: Mapping[str, Any], pods: Any, *, suspend: bool) -> History:
        return replace(read_history(status, pods, suspend=suspend), started=False)

    patch.setattr(reconcile, "read_history", forgetful)


@bug
def the_back_off_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(failures, "back_off", lambda limits, former: 0)


@bug
def the_back_off_limit_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    honest = failures.price
    patch.setattr(
        decide,
        "price",
        lambda failure, limits, before, step: honest(
            failure, limits.model_copy(update={"backoff_limit": 99}), before, step
        ),
    )


@subtle
def an_echo_costs_a_restart(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(View, "is_echo", lambda self, failure: False)


@bug
def every_restart_is_progress(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(View, "committed", property(lambda self: self.history.restarts.at_step + 1))


@subtle
def a_deadline_is_missed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decide, "deadlines", lambda view: ())


@bug
def a_job_goes_as_soon_as_it_has_ended(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reconcile, "expiry", lambda status, policy: from_text(status["completionTime"]))


@bug
def a_job_never_goes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reconcile, "expiry", lambda status, policy: None)


@bug
def a_pod_that_is_leaving_is_deleted_by_force(patch: pytest.MonkeyPatch) -> None:
    leaving = lambda pods, now: tuple(pod for pod in pods if pod.leaves_by is not None and not pod.ended)  # noqa: E731
    patch.setattr(decide, "lost_pods", leaving)


@bug
def a_job_that_has_ended_goes_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reconcile, "has_ended", lambda status: False)


@bug
def pods_of_a_former_job_are_taken_for_its_own(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "pods", lambda self, key, owner: [pod for _, pod in sorted(self._pods.get(key, {}).items())])


@bug
def events_are_named_at_random(patch: pytest.MonkeyPatch) -> None:
    honest = events.event

    def event(*told: Any) -> Object:
        made = honest(*told)
        return {**made, "metadata": {**made["metadata"], "name": str(uuid.uuid4())}}

    patch.setattr(events, "event", event)


@subtle
def a_coordinator_is_never_told_of_a_change(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reconcile, "_touch", lambda job, coordinator, generation: None)


@bug
def pods_of_a_gang_have_no_group(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reconcile, "pod_group", lambda job: None)


@bug
def a_group_goes_before_its_pods(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reconcile, "group_to_remove", lambda job, pods, now: pod_group_reference(job))


@bug
def a_group_stays_when_its_pods_have_gone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reconcile, "group_to_remove", lambda job, pods, now: None)


@bug
def kueue_is_not_told_that_a_group_has_ended(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reconcile, "releases", lambda pods, from_attempt: ())


@bug
def nothing_wakes_the_job_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Controller, "_wake", lambda self, key, plan: None)


@bug
def the_time_of_a_phase_is_forgotten_at_its_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        goodput,
        "brought_up",
        lambda known, moment: known.model_copy(update={"phase": moment.phase, "since": moment.now}),
    )


@bug
def what_the_coordinator_tells_is_counted_beside_the_phases(patch: pytest.MonkeyPatch) -> None:
    honest = goodput._add_told
    patch.setattr(goodput, "_add_told", lambda totals, told, known, open_time: honest(totals, told, known, 1e9))


@pytest.mark.parametrize("name", BUGS)
def test_it_is_caught(name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    BUGS[name](monkeypatch)
    with pytest.raises(AssertionError):
        run_histories(histories_of(HISTORIES))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SUBTLE)
def test_a_subtle_one_is_caught(name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    SUBTLE[name](monkeypatch)
    with pytest.raises(AssertionError):
        run_histories(histories_of(MANY_HISTORIES))
