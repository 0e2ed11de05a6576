"""What the ranks of a job on a cluster do: from the coordinator's events, and from the processes in the pods."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from e2e_cluster import wait_for
from e2e_jobs import Jobs

PROCESSES = """
for cgroup in $(grep -ls {container} /proc/[0-9]*/cgroup); do
    pid=$(echo $cgroup | cut -d/ -f3)
    parent=$(sed 's/.*) . //' /proc/$pid/stat 2> /dev/null | cut -d' ' -f1)
    tr '\\0' ' ' < /proc/$parent/cmdline 2> /dev/null | grep -q forkserver && echo $pid
done
true
"""
"""The ranks in a container, by the pids of its node: an agent's fork server is their parent."""


@dataclass(frozen=True)
class Ranks:
    """A job that trains in many processes.

    Attributes:
        jobs: where it is.
        name: its name.
        claim: of its volume `runs`.
    """

    jobs: Jobs
    name: str
    claim: str = "runs"

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The messages of the coordinator's events of a kind, so far."""
        return [event["message"] for event in self._events(kind)]

    def times(self, kind: str) -> list[float]:
        """When the coordinator's events of a kind happened, by the clock of its node."""
        return [datetime.fromisoformat(event["time"]).timestamp() for event in self._events(kind)]

    def first_step(self, generation: int) -> float:
        """When a round's first step was done, by the clock of the coordinator's node."""
        steps = (each for each in self._events("progress") if each["message"]["generation"] == generation)
        return datetime.fromisoformat(next(steps)["time"]).timestamp()

    def rounds(self) -> list[tuple[int, list[int]]]:
        """Generation of every round and the workers in it."""
        return [(each["generation"], [m["worker"] for m in each["members"]]) for each in self.events("formed")]

    def wait_for_steps_of(self, workers: list[int], seconds: float = 150, after: int = 0) -> int:
        """Wait until a round of these workers, later than generation `after`, has committed; its generation."""

        def generation() -> int:
            formed = [number for number, members in self.rounds() if members == workers and number > after]
            done = {each["generation"] for each in self.events("shard_written")}
            return max((number for number in formed if number in done), default=0)

        what = f"a commit of a round of workers {workers} after generation {after}; rounds are "
        wait_for(what + f"{self.rounds()}", lambda: generation() > 0, seconds)
        return generation()

    def pids(self, pod: str) -> list[int]:
        """The ranks in a pod on the agent's node."""
        (container,) = self.jobs.cluster.get("pod", pod, "-n", self.jobs.namespace)["status"]["containerStatuses"]
        script = PROCESSES.format(container=container["containerID"].rpartition("/")[2])
        return sorted(map(int, self.jobs.agent.shell(script).split()))

    def kill(self, pid: int) -> float:
        """SIGKILL to a process on the agent's node; when that was, by the clock of that node."""
        return float(self.jobs.agent.shell(f"kill -9 {pid} && date +%s.%N"))

    def samples(self) -> int:
        """Samples in the newest commit, which is what the weights have learned from."""
        return int(self.events("shard_written")[-1]["ledger"]["samples"])

    def _events(self, kind: str) -> list[dict[str, Any]]:
        folder = f"{self.jobs.namespace}/{self.claim}/{self.name}"
        text = self.jobs.agent.shell(f"cat {folder}/events.jsonl 2> /dev/null || true")
        events = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        return [event for event in events if event["message"]["kind"] == kind]
