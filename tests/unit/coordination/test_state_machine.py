"""No sequence of messages and crashes commits out of order, twice differently, or from a fenced process."""

from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gmeta_api.document import JobIdentity
from gmeta_worker.checkpoint import CommitManifest, FileEntry, Layout, Ledger
from gmeta_worker.coordination.commits import Commits
from gmeta_worker.coordination.events import Event, wall_time
from gmeta_worker.coordination.messages import (
    Ended,
    Finish,
    Join,
    Message,
    Progress,
    Refusal,
    Reply,
    Round,
    ShardWritten,
)
from gmeta_worker.coordination.recovery import recover
from gmeta_worker.coordination.state import Publish, State, transition, with_commit

JOB = JobIdentity(name="demo", namespace="default")
LAYOUT = Layout(dim=1, tables={})
INITIAL = State(1, Commits(JOB, {}))


@dataclass(frozen=True)
class Published:
    """A manifest that was written, and the generation that was current at that moment."""

    manifest: CommitManifest
    current: int


class CoordinatorMachine(RuleBasedStateMachine):
    """A coordinator with an in-memory disk; crashes lose everything but the disk."""

    def __init__(self) -> None:
        super().__init__()
        self.state = INITIAL
        self.now = 0.0
        self.events: list[Event] = []
        self.published: list[Published] = []
        self.current_process: str | None = None
        self.seen_generations: list[int] = []

    def newest_on_disk(self) -> CommitManifest | None:
        return self.published[-1].manifest if self.published else None

    def send(self, message: Message, crash_before_record: bool = False) -> Reply | None:
        """Handle a message like the server does; None if the coordinator dies between the two effects."""
        self.now += 1.0
        result = transition(self.state, message, self.now)
        if result.state.generation > self.state.generation:
            result = transition(with_commit(self.state, self.newest_on_disk(), ()), message, self.now)
        for effect in result.effects:
            if isinstance(effect, Publish):
                self.published.append(Published(effect.manifest, self.state.generation))
                if crash_before_record:
                    self.crash()
                    return None
            else:
                self.events.append(
                    Event(at=effect.at, time=wall_time(), generation=effect.generation, message=effect.message)
                )
        self.state = result.state
        return result.reply

    @rule(
        process=st.sampled_from(["process-a", "process-b", "process-c"]),
        attempt=st.sampled_from([0, 1, 1, 1, 2]),
        knows=st.booleans(),
    )
    def join(self, process: str, attempt: int, knows: bool) -> None:
        """A process asks for a round: its first, the next, or again for the one whose reply was lost."""
        before, current = self.state.generation, process == self.current_process
        place = {"attempt": attempt, "worker": 0, "process": process, "host": "h", "port": 1, "ranks": 1}
        reply = self.send(Join(**place, after=before if knows else 0))
        if attempt == 1 and self.state.finished:
            assert isinstance(reply, Ended)
            return
        if attempt != 1 or process in self.state.membership.replaced:
            assert isinstance(reply, Refusal)
            return
        assert isinstance(reply, Round)
        again = current and not knows and before > 0
        assert reply.generation == before + (not again)
        self.current_process = process
        if not again:
            newest = self.newest_on_disk()
            assert (reply.commit.step if reply.commit else None) == (newest.step if newest else None)

    @rule(
        step=st.integers(0, 8),
        variant=st.integers(0, 1),
        back=st.sampled_from([0, 0, 0, 1, -1]),
        attempt=st.sampled_from([1, 1, 1, 0, 2]),
        crash=st.booleans(),
    )
    def shard_written(self, step: int, variant: int, back: int, attempt: int, crash: bool) -> None:
        generation = max(0, self.state.generation - back)
        before = len(self.published)
        message = ShardWritten(
            attempt=attempt,
            generation=generation,
            rank=0,
            step=step,
            files=files(variant),
            layout=LAYOUT,
            ledger=Ledger(global_step=step),
        )
        current = (1, self.state.generation) == (attempt, generation) and self.current_process is not None
        finished = self.state.finished
        reply = self.send(message, crash_before_record=crash)
        if not current or finished:
            assert isinstance(reply, Refusal)
            assert len(self.published) == before
        if not isinstance(reply, Refusal):
            newest = self.newest_on_disk()
            assert newest is not None
            assert (newest.step, newest.files) == (step, files(variant)), "what is confirmed is on the disk"

    @rule(step=st.integers(0, 9))
    def progress(self, step: int) -> None:
        self.send(
            Progress(
                attempt=1,
                generation=self.state.generation,
                rank=0,
                epoch=0,
                step=step,
                total_steps=9,
                samples=step,
                tasks=step,
                loss=0.0,
                seconds={},
                bytes_read=0,
                queue_depth=0,
                wait_seconds=0.0,
            )
        )

    @rule(attempt=st.sampled_from([0, 1, 1]), chance=st.integers(0, 4))
    def finish(self, attempt: int, chance: int) -> None:
        if chance == 0:
            self.send(Finish(attempt=attempt, outcome="stopped", message="", exit_code=0))

    @rule()
    def crash(self) -> None:
        """A coordinator that starts from the disk knows the same, and takes the same process for the same member."""
        before, self.state = self.state, recover(INITIAL, self.events, self.newest_on_disk(), ())
        assert (self.state.generation, self.state.membership.members, self.state.finished, self.state.progress) == (
            before.generation,
            before.membership.members,
            before.finished,
            before.progress,
        )
        assert self.state.commits.newest == self.newest_on_disk()

    @invariant()
    def commits_are_in_order_and_none_is_made_twice(self) -> None:
        steps = [published.manifest.step for published in self.published]
        assert steps == sorted(set(steps))

    @invariant()
    def every_commit_is_from_the_current_generation(self) -> None:
        assert all(published.manifest.generation == published.current for published in self.published)
        assert all(published.manifest.attempt == 1 for published in self.published)

    @invariant()
    def generations_never_go_back(self) -> None:
        self.seen_generations.append(self.state.generation)
        assert self.seen_generations == sorted(self.seen_generations)


def files(variant: int) -> tuple[FileEntry, ...]:
    def entry(kind: Any, blocks: tuple[int, int] | None) -> FileEntry:
        return FileEntry(path=f"{kind}.safetensors", kind=kind, blocks=blocks, bytes=1, xxh3=f"{variant:016x}")

    return entry("dense", None), entry("rows", (0, 4096))


TestCoordinator = CoordinatorMachine.TestCase
TestCoordinator.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)
