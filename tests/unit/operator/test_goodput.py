"""Where a job's time went, as its status tells it: stories with known answers, and that everything adds up."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from goodput_rules import totals
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from simulated import NOON, PREPARE, Server, manifest
from simulated_operator import Operator

from gmeta_api.status import Goodput
from gmeta_operator.goodput import CAUSES, TOLD, Moment, brought_up
from gmeta_operator.goodput_metrics import GoodputOfJobs
from gmeta_operator.report import Report, ReportedEnd, ReportedGoodput, ReportedProgress


class Story:
    """A job with one worker, told second by second."""

    def __init__(self, **groups: Any) -> None:
        self.server = Server(manifest(**groups))
        self.operator = Operator(self.server)
        self.operator.sync()

    @property
    def goodput(self) -> Mapping[str, Any]:
        assert self.server.job is not None
        found: Mapping[str, Any] = self.server.job["status"]["goodput"]
        return found

    def sync(self, seconds: float = 0) -> None:
        """Time passes, then a pass that hears everything."""
        self.operator.sync(seconds)

    def place(self) -> None:
        """Every pod that waits gets a node."""
        for name, pod in self.server.live.items():
            if pod["status"]["phase"] == "Pending":
                self.server.live[name] = {**pod, "spec": {**pod["spec"], "nodeName": "n"}}
                self.server.set_pod(name, phase="Pending")
        self.sync()

    def start(self) -> None:
        """Every pod that waits begins to run."""
        for name, pod in list(self.server.live.items()):
            if pod["status"]["phase"] == "Pending":
                self.server.start(name)
        self.sync()

    def tell(self, step: int, **seconds: float) -> None:
        """The coordinator has news of ranks that train."""
        self._tell(step, ReportedGoodput(training=True, **_named(seconds)))

    def tell_of_none(self, step: int, **seconds: float) -> None:
        """The coordinator has news, and no rank trains."""
        self._tell(step, ReportedGoodput(training=False, **_named(seconds)))

    def _tell(self, step: int, goodput: ReportedGoodput) -> None:
        progress = ReportedProgress(
            epoch=0, step=step, total_steps=100, samples=1, samples_per_second=1.0, tasks_per_second=1.0
        )
        self.server.report = Report(attempt=0, progress=progress, goodput=goodput)

    def end(self) -> None:
        """The coordinator ends with its last words."""
        assert self.server.report is not None
        finished = ReportedEnd(outcome="succeeded", message="every step was trained", exit_code=0)
        words = self.server.report.model_copy(update={"finished": finished}).model_dump_json()
        name = next(name for name in self.server.live if "coordinator" in name)
        self.server.end(name, 0, words)
        self.sync()

    def train(self, seconds: float, step: int, **told: float) -> None:
        """Training goes on for so many seconds, then the coordinator is asked."""
        self.tell(step, **told)
        self.sync(seconds)


def _named(seconds: Mapping[str, float]) -> dict[str, Any]:
    return {f"{kind}_seconds": value for kind, value in seconds.items()}


def spent(goodput: Mapping[str, Any]) -> dict[str, float]:
    return {name: seconds for name, seconds in totals(dict(goodput)).items() if seconds}


def test_every_phase_of_a_job_is_counted_as_what_it_was() -> None:
    """10 s without a node, 5 s for the image, 4 s to start, then 100 s with two commits and one second unaccounted."""
    story = Story()
    assert (story.goodput["phase"], story.goodput["wallSeconds"]) == ("scheduling", 0)
    story.sync(10)
    story.place()
    assert (story.goodput["phase"], spent(story.goodput)) == ("image", {"scheduling": 10})
    story.sync(5)
    story.start()
    assert (story.goodput["phase"], spent(story.goodput)) == ("startup", {"scheduling": 10, "image": 5})
    story.train(4 + 6, 10, productive=6.0)
    assert (story.goodput["phase"], story.goodput["since"]) == ("training", "2026-01-02T12:00:25Z")
    assert spent(story.goodput) == {"scheduling": 10, "image": 5, "startup": 4, "productive": 6}
    story.train(94, 100, productive=91.0, commit=5.0, input=2.0, straggler=1.0)
    story.tell_of_none(100, productive=91.5, commit=5.0, input=2.0, straggler=1.0)
    story.server.now += timedelta(seconds=2)
    story.end()
    assert spent(story.goodput) == {
        "scheduling": 10, "image": 5, "startup": 4, "productive": 91.5, "commit": 5, "input": 2, "straggler": 1,
        "other": 2.5,
    }  # fmt: skip
    assert (story.goodput["phase"], story.goodput["wallSeconds"]) == ("ended", 121)
    assert story.goodput["ratio"] == round(91.5 / 121, 3)


def test_a_failure_costs_all_the_time_until_training_goes_on_and_the_steps_that_are_done_again() -> None:
    story = Story(faultTolerance={"restartBackoffSeconds": 10})
    story.start()
    story.train(20, 20, productive=20.0)
    story.server.end("movies-w0-0", 137)
    story.tell_of_none(20, productive=20.0)
    story.sync(5)
    assert (story.goodput["phase"], spent(story.goodput)) == ("restart", {"productive": 20, "restart": 5})
    story.sync(10)
    story.start()
    story.sync(8)
    assert story.goodput["phase"] == "restart"
    story.train(7 + 3, 23, productive=23.0, rework=7.0, regroup=22.0)
    assert story.goodput["phase"] == "training"
    assert spent(story.goodput) == {"productive": 23, "restart": 5 + 10 + 8 + 7}
    assert (story.goodput["reworkSeconds"], story.goodput["regroupSeconds"]) == (7, 22)
    story.train(10, 30, productive=33.0, rework=7.0, regroup=22.0)
    assert spent(story.goodput) == {"productive": 33, "restart": 30}


def test_ranks_that_regroup_between_two_reports_are_seen_by_the_coordinator_alone() -> None:
    story = Story()
    story.start()
    story.train(10, 10, productive=10.0)
    story.train(10, 15, productive=15.0, regroup=3.0, rework=2.0)
    assert (story.goodput["phase"], spent(story.goodput)) == ("training", {"productive": 15, "restart": 5})


def test_a_replacement_that_no_node_takes_is_lost_to_scheduling() -> None:
    story = Story(faultTolerance={"restartBackoffSeconds": 1})
    story.start()
    story.train(10, 10, productive=10.0)
    story.server.end("movies-w0-0", 137)
    story.tell_of_none(10, productive=10.0)
    story.sync(5)
    full = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    story.server.set_pod("movies-w0-1", phase="Pending", conditions=[full])
    story.sync()
    assert story.goodput["phase"] == "scheduling"
    story.sync(60)
    story.start()
    assert spent(story.goodput) == {"productive": 10, "restart": 5, "scheduling": 60}


def test_time_in_which_the_job_is_suspended_is_no_wall_time() -> None:
    story = Story()
    story.start()
    story.train(10, 10, productive=10.0)
    story.server.edit(runPolicy={"suspend": True})
    story.sync()
    story.sync(1000)
    story.server.edit(runPolicy={"suspend": False})
    story.server.leave()
    story.sync()
    assert spent(story.goodput) == {"productive": 10, "suspended": 1000}
    assert (story.goodput["ratio"], story.goodput["wallSeconds"]) == (1, 10)


def test_preparation_is_neither_productive_nor_lost() -> None:
    story = Story(data={"volume": "all", "path": "set", "prepare": PREPARE})
    story.sync(3)
    story.start()
    assert story.goodput["phase"] == "preparation"
    story.server.now += timedelta(seconds=40)
    story.server.end("movies-prepare-0", 0)
    story.sync()
    assert spent(story.goodput) == {"scheduling": 3, "preparation": 40}
    assert (story.goodput["ratio"], story.goodput["wallSeconds"]) == (0, 43)


def test_nothing_is_written_because_time_passes() -> None:
    story = Story()
    story.start()
    story.train(10, 10, productive=10.0)
    writes = story.server.status_writes
    for told in (15.0, 20.0):
        story.train(10, 10, productive=told)
    assert story.server.status_writes == writes
    story.train(10, 11, productive=35.0)
    assert (story.server.status_writes, spent(story.goodput)) == (writes + 1, {"productive": 35})


def test_an_operator_that_was_away_adds_up_what_it_has_missed() -> None:
    story = Story()
    story.start()
    story.train(10, 10, productive=10.0)
    story.operator.die()
    story.tell(60, productive=55.0, commit=5.0)
    story.operator = Operator(story.server)
    story.sync(50)
    assert spent(story.goodput) == {"productive": 55, "commit": 5}


def test_a_job_of_an_older_operator_begins_with_what_the_coordinator_tells() -> None:
    """What it was before is not known."""
    moment = Moment("training", 100.0, ReportedGoodput(training=True, productive_seconds=80.0), "now")
    assert spent(brought_up(Goodput(), moment).model_dump(by_alias=True)) == {"productive": 80, "other": 20}


def test_the_metrics_count_the_current_phase_until_now() -> None:
    story = Story()
    story.start()
    story.train(30, 10, productive=30.0)
    story.server.end("movies-w0-0", 137)
    story.tell_of_none(10, productive=30.0)
    story.sync(6)
    registry = CollectorRegistry()
    job = story.server.job
    assert job is not None
    bare = {"metadata": {"namespace": "team", "name": "new"}}
    broken = {**job, "status": {"goodput": {"productiveSeconds": "a lot"}}}
    labels = {"namespace": "team", "job_name": "movies"}
    later = NOON + timedelta(seconds=40)
    registry.register(GoodputOfJobs(lambda: (bare, job), clock=lambda: later))
    assert registry.get_sample_value("gmeta_job_goodput_ratio", labels) == 0.75
    lost = [registry.get_sample_value("gmeta_job_lost_seconds", {**labels, "cause": cause}) for cause in CAUSES]
    assert dict(zip(CAUSES, lost, strict=True)) == {**dict.fromkeys(CAUSES, 0.0), "restart": 10}
    assert registry.get_sample_value("gmeta_job_goodput_ratio", {**labels, "job_name": "new"}) is None
    assert next(iter(GoodputOfJobs(lambda: (broken,)).collect())).samples == []


SECONDS = st.floats(0, 1e6)
PHASES = ("scheduling", "image", "startup", "preparation", "training", "restart", "suspended")


@given(st.lists(st.tuples(st.sampled_from(PHASES), st.integers(0, 10_000), st.tuples(*[SECONDS] * 6)), max_size=8))
def test_everything_adds_up_and_no_total_falls_whatever_is_told(
    passes: list[tuple[Any, int, tuple[float, ...]]],
) -> None:
    known, age = Goodput(), 0.0
    reported = dict.fromkeys((*TOLD, "regroup"), 0.0)
    for phase, seconds, told in [*passes, ("ended", 1, (0.0,) * 6)]:
        age += seconds
        reported = {name: max(before, new) for (name, before), new in zip(reported.items(), told, strict=True)}
        report = ReportedGoodput(**{f"{name}_seconds": each for name, each in reported.items()})
        former, known = known, brought_up(known, Moment(phase, age, report, "now"))
        before, after = (totals(each.model_dump(by_alias=True)) for each in (former, known))
        assert all(after[name] >= before[name] for name in after)
        assert sum(after.values()) <= age + 0.05
    assert sum(after.values()) == pytest.approx(age, abs=0.05)
    assert known.ratio is None or 0 <= known.ratio <= 1
