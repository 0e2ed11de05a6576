"""What the operator may do: rules of its own, held to each write at the moment at which it takes effect."""

from collections import Counter
from datetime import timedelta

from ledger import COORDINATOR, PREPARE, Fate, Ledger, Slot, new_fate
from simulated import Server, owner
from status_rules import check_status, condition, finished

from gmeta_api.objects import Object
from gmeta_operator.timestamps import from_text

BACK_OFF = 10
LONGEST_BACK_OFF = 60


class Judge:
    """Watches a server, and fails where a write is not right.

    Attributes:
        ledger: what has happened to the pods.
        happened: what has been written that few histories see, how often.
        fewest_workers: the lowest `replicas` that the job has had: pods beyond may be added to a running attempt.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.ledger = Ledger()
        self.happened: Counter[str] = Counter()
        self.told: dict[tuple[str, str, str], tuple[int, int, int]] = {}
        self.fewest_workers = self.replicas
        server.watchers.append(self.ledger.watch)
        server.witness = self.judge

    def judge(self, verb: str, thing: Object) -> None:
        """A write takes effect."""
        rules = {
            "Pod": self._creation,
            "delete": self._deletion,
            "force": self._force,
            "expire": self._expiry,
            "delete PodGroup": self._end_of_group,
            "status": self._status,
            "Event": self._event,
        }
        rules[verb](thing)

    @property
    def job(self) -> Object:
        assert self.server.job is not None, "something is written for a job that is gone"
        return self.server.job

    @property
    def replicas(self) -> int:
        count: int = self.job["spec"]["workers"]["replicas"]
        return count

    @property
    def attempt(self) -> int:
        """The newest attempt that has left a trace; resuming begins another one."""
        written: int = self.job.get("status", {}).get("attempt", 0) + self.resumes
        return max([written, *(fate.attempt for fate in self.fates())])

    @property
    def resumes(self) -> bool:
        """Whether the job has been resumed and no status tells of it yet."""
        return condition(self.job, "Suspended") == "True" and not self.suspended()

    def fates(self, slot: Slot | None = None, attempt: int | None = None) -> list[Fate]:
        """The job's pods, but those that somebody has deleted before any status told of them: they leave no trace."""
        return [fate for fate in self.all_fates(slot, attempt) if fate.told or not fate.gone]

    def all_fates(self, slot: Slot | None = None, attempt: int | None = None) -> list[Fate]:
        return self.ledger.of(self.job["metadata"]["uid"], slot, attempt)

    def in_place(self) -> dict[Slot, Fate]:
        """The newest pod of each slot that is there; of the newest attempt, which a preparation outlives."""
        there = (fate for fate in self.fates() if not fate.gone)
        return {fate.slot: fate for fate in there if fate.attempt == self.attempt or fate.slot == PREPARE}

    def _too_many(self, slot: Slot) -> bool:
        """Whether the job has been scaled down below a worker."""
        return slot[0] == "worker" and slot[1] >= self.replicas

    def suspended(self) -> bool:
        return bool(self.job["spec"].get("runPolicy", {}).get("suspend"))

    @property
    def gang(self) -> str:
        """The job's gang scheduler."""
        scheduler: str = self.job["spec"].get("scheduling", {}).get("gang", {}).get("scheduler", "none")
        return scheduler

    @property
    def has_pod_group(self) -> bool:
        """Whether the gang scheduler wants a PodGroup."""
        return self.gang in ("volcano", "coscheduling")

    def _creation(self, pod: Object) -> None:
        self._place_in_the_group(pod)
        new, status = new_fate(pod), self.job.get("status", {})
        assert new.owner == self.job["metadata"]["uid"], f"{new.name} is made for a former job"
        assert not finished(status), f"{new.name} is made for a job that has ended"
        assert not self.suspended(), f"{new.name} is made for a suspended job"
        errors = [fate.name for slot, fate in self.in_place().items() if fate.fatal and not self._too_many(slot)]
        assert not errors, f"{new.name} is made in spite of the user's error that {errors} have told of"
        assert not self._too_many(new.slot), f"{new.name} has no place"
        assert new.name not in {fate.name for fate in self.fates()}, f"{new.name} is made twice"
        for other in self.fates():
            if other.alive(self.server.now):
                assert other.slot != new.slot, f"{new.name} is made beside {other.name}"
                assert other.attempt >= new.attempt or other.slot == PREPARE, f"{new.name} beside {other.name}"
        self._price(new)

    def _place_in_the_group(self, pod: Object) -> None:
        """A pod of a gang is made once its PodGroup is there."""
        group = self.server.pod_group
        if not self.has_pod_group or new_fate(pod).slot == PREPARE:
            return
        assert group is not None, f"{pod['metadata']['name']} is made before its PodGroup"
        assert owner(group) == self.job["metadata"]["uid"], "the PodGroup is a former job's"
        assert group["spec"]["minMember"] == 1 + self.replicas, "the PodGroup waits for another number of pods"

    def _end_of_group(self, group: Object) -> None:
        """A PodGroup goes when no pod of the job runs, and none is going to; a former job's is garbage."""
        if owner(group) != self.job["metadata"]["uid"]:
            return
        alive = [fate.name for fate in self.fates() if fate.alive(self.server.now)]
        assert not alive, f"the PodGroup is deleted while {alive} run"
        assert self.suspended() or finished(self.job.get("status", {})), "the PodGroup is deleted for no reason"

    def _price(self, new: Fate) -> None:
        """A restart costs what the pod that it follows makes it cost."""
        written = self.job.get("status", {}).get("restarts", {})
        counted = max([written.get("counted", 0), *(fate.counted for fate in self.fates())])
        uncounted = max([written.get("uncounted", 0) + self.resumes, *(fate.uncounted for fate in self.fates())])
        price = new.counted - counted, new.uncounted - uncounted
        starts_attempt = new.attempt == self.attempt + 1
        assert starts_attempt or new.attempt == self.attempt, f"{new.name} is of attempt {new.attempt}"
        story = f"{new} costs {price} at {self.server.now:%H:%M:%S} after {', '.join(map(str, self.fates()))}"
        if price == (1, 0):
            assert new.futile == self._futile(new) + 1, story
            wait = timedelta(seconds=min(LONGEST_BACK_OFF, BACK_OFF << (new.futile - 1)))
            ended = [fate.at for fate in self._paid_causes(new, group=starts_attempt) if fate.at is not None]
            assert any(self.server.now >= at + wait for at in ended), story
            assert new.futile <= self.job["spec"]["faultTolerance"]["backoffLimit"], story
        elif price == (0, 1):
            assert self._is_free(new, group=starts_attempt), story
        else:
            assert price == (0, 0), story
            assert not starts_attempt, story
            assert not self.fates(new.slot, new.attempt), story

    def _futile(self, new: Fate) -> int:
        """Counted restarts before a new one without a commit between them, as far as the operator can know."""
        assert self.told_step() <= new.at_step <= self.server.committed, f"{new.name} is of step {new.at_step}"
        written = self.job.get("status", {}).get("restarts", {})
        known = [(written.get("counted", 0), written.get("withoutProgress", 0), written.get("atStep", 0))]
        known += [(fate.counted, fate.futile, fate.at_step) for fate in self.fates()]
        _, futile, at_step = max(known)
        return futile if new.at_step <= at_step else 0

    def told_step(self) -> int:
        """Step of the newest commit that the status tells of."""
        step: int = self.job.get("status", {}).get("lastCheckpoint", {}).get("step", 0)
        return step

    def _paid_causes(self, new: Fate, *, group: bool) -> list[Fate]:
        """Failures that cost a counted restart."""
        if group:
            return [fate for fate in self.fates(attempt=self.attempt) if fate.ends_attempt and not fate.free]
        before = self.in_place().get(new.slot)
        paid = before is not None and before.failed and not before.free and not self._is_certain_echo(before)
        return [before] if before is not None and paid else []

    def _is_free(self, new: Fate, *, group: bool) -> bool:
        """Whether an uncounted restart is right."""
        if group:
            return any(fate.ends_attempt and fate.free for fate in self.fates(attempt=self.attempt))
        before = next(reversed(self.fates(new.slot, None if new.slot == PREPARE else new.attempt)), None)
        if before is None:
            return new.slot[0] == "worker" and new.slot[1] >= self.fewest_workers
        return before.gone or before.free or before.lost(self.server.now) or self._is_echo(before)

    def _is_echo(self, worker: Fate) -> bool:
        """Whether a worker may have failed because its coordinator was replaced."""
        return (worker.slot[0], worker.code) == ("worker", 68) and self._last_beside(worker).slot == COORDINATOR

    def _is_certain_echo(self, worker: Fate) -> bool:
        """The same where the coordinators' names tell them apart.

        One that was removed before any status told of it is made again under its own name.
        """
        return self._is_echo(worker) and self._last_beside(worker).number > worker.number

    def _last_beside(self, worker: Fate) -> Fate:
        """The pod that was made last of the coordinators and of the worker's slot, in its attempt."""
        return [fate for fate in self.fates(attempt=worker.attempt) if fate.slot in (COORDINATOR, worker.slot)][-1]

    def _deletion(self, pod: Object) -> None:
        fate = self.ledger.fates[pod["metadata"]["uid"]]
        assert fate.owner == self.job["metadata"]["uid"], f"{fate.name} of another job is deleted"
        group = [other for other in self.fates(attempt=fate.attempt) if other.ends_attempt]
        reasons = (
            finished(self.job.get("status", {})),
            self.suspended(),
            self._too_many(fate.slot),
            any(other.number > fate.number for other in self.fates(fate.slot)),
            fate.attempt < self.attempt,
            group,
        )
        assert any(reasons), f"{fate.name} is deleted for no reason"

    def _force(self, pod: Object) -> None:
        self.happened["force"] += 1
        fate = self.ledger.fates[pod["metadata"]["uid"]]
        assert fate.owner == self.job["metadata"]["uid"], f"{fate.name} of another job is deleted by force"
        assert fate.lost(self.server.now), f"{fate.name} is deleted by force though it may end by itself"
        needless = (
            finished(self.job.get("status", {})),
            self.suspended(),
            self._too_many(fate.slot),
            any(other.number > fate.number for other in self.fates(fate.slot)),
            fate.attempt < self.attempt,
        )
        assert any(needless), f"{fate.name} is deleted by force before anything stands for it"

    def _expiry(self, job: Object) -> None:
        self.happened["expire"] += 1
        status, ttl = job.get("status", {}), job["spec"]["runPolicy"].get("ttlSecondsAfterFinished")
        assert finished(status), "a job is deleted that has not ended"
        assert ttl is not None, "a job is deleted that is to be kept"
        ended = from_text(status["completionTime"])
        assert ended is not None
        assert self.server.now >= ended + timedelta(seconds=ttl), "a job is deleted before its time"

    def _status(self, status: Object) -> None:
        check_status(self, self.job, status)
        if finished(status):
            self.happened[status["reason"]] += 1
        started = condition({"status": status}, "AttemptStarted") == "True"
        for fate in self.fates():
            covered = fate.attempt <= status["attempt"] and fate.number <= sum(status["restarts"].values())
            fate.told = fate.told or (started and covered)

    def _event(self, event: Object) -> None:
        words = event["reason"], event["message"], event["involvedObject"]["uid"]
        generation = self.server.job["metadata"]["generation"] if self.server.job is not None else 0
        occasion = generation, len(self.ledger.fates), self.server.status_writes
        assert self.told.get(words) != occasion, "an event is told twice"
        self.told[words] = occasion
