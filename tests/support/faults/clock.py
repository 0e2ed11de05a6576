"""A simulated clock, and threads that run one at a time on it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random


class Killed(BaseException):
    """The process of this thread is dead; nothing in it may catch this."""


@dataclass(eq=False)
class Process:
    """What dies and freezes as one."""

    name: str
    dead: bool = False
    frozen_until: float = 0.0
    asked_to_stop: bool = False
    exit_code: int | None = None
    dies_at_disk_point: int | None = None

    def kill(self) -> None:
        """As SIGKILL does: at once, even if it is frozen."""
        self.dead = True

    @property
    def gone(self) -> bool:
        return self.dead or self.exit_code is not None


@dataclass(eq=False)
class Task:
    """A thread of a process."""

    process: Process
    wake: float
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    done: bool = False
    error: BaseException | None = None

    def runnable_at(self) -> float:
        return 0.0 if self.process.dead else max(self.wake, self.process.frozen_until)


class Scheduler:
    """Lets one thread run at a time: the one that wakes first."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.now = 0.0
        self.current: Task | None = None
        self._tasks: list[Task] = []
        self._back = threading.Semaphore(0)

    def spawn(self, process: Process, work: Callable[[], None]) -> Task:
        """A new thread of `process`; it begins when the others let it."""
        task = Task(process, self.now)
        self._tasks.append(task)
        threading.Thread(target=self._run, args=(task, work), daemon=True).start()
        return task

    def pause(self, seconds: float) -> None:
        """Let time pass for the current thread."""
        task = self.current
        assert task is not None
        task.wake = self.now + seconds * self.random.uniform(0.9, 1.1)
        self._back.release()
        task.go.acquire()
        if task.process.dead:
            raise Killed

    def clock(self) -> float:
        return self.now

    def step(self) -> None:
        """Run the next thread until it pauses or ends."""
        task = min(self._tasks, key=Task.runnable_at)
        self.now = max(self.now, task.runnable_at())
        self.current = task
        task.go.release()
        self._back.acquire()
        self.current = None
        if task.done:
            self._tasks.remove(task)
            if task.error is not None:
                raise task.error

    def unwind(self) -> None:
        """End every thread."""
        for task in self._tasks:
            task.process.kill()
        while self._tasks:
            self.step()

    def _run(self, task: Task, work: Callable[[], None]) -> None:
        task.go.acquire()
        try:
            if not task.process.dead:
                work()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - raised where the history is run
            task.error = error
        task.done = True
        self._back.release()
