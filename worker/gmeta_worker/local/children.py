"""Child processes of a local run: started from the plan, logged to files, stopped in order."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from gmeta_api.plan import Process
from gmeta_worker.membership.parent import PARENT_PID

STOP_SECONDS = 30.0


class Child:
    """One running process of the plan, which ends with this one however that ends; its output goes to `log`."""

    def __init__(self, process: Process, log: Path) -> None:
        self.name = name_of(process)
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(  # noqa: S603  # the command is the plan's own
                command_line(process),
                env={**environment(process), PARENT_PID: str(os.getpid())},
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                # A Ctrl-C reaches this process only, which then stops the children in order.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._popen.pid

    def exit_code(self) -> int | None:
        """None while it runs; a shell's 128 + N if signal N ended it."""
        code = self._popen.poll()
        return code if code is None or code >= 0 else 128 - code

    def stop(self) -> None:
        """Ask it to end (SIGTERM); a worker commits first."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int | None:
        """Its exit code, or None if it still runs after `seconds`."""
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        return self.exit_code()

    def kill(self) -> None:
        """End it at once."""
        self._popen.kill()
        self._popen.wait()

    def last_lines(self, count: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


def command_line(process: Process) -> list[str]:
    """The plan's command, with this interpreter in place of `python`."""
    return [sys.executable if part == "python" else part for part in process.command]


def environment(process: Process) -> dict[str, str]:
    """This process's environment with the plan's variables on top."""
    return {**os.environ, **process.env}


def name_of(process: Process) -> str:
    """The name of a process in logs and messages."""
    return f"{process.role}-{process.index}" if process.role == "worker" else process.role


class Children:
    """The children of one run; leaving the `with` block leaves none behind."""

    def __init__(self, log_folder: Path) -> None:
        self._log_folder = log_folder
        self._children: list[Child] = []

    def start(self, process: Process) -> Child:
        """Start `process`, appending its output to `<log folder>/<name>.log`."""
        self._log_folder.mkdir(parents=True, exist_ok=True)
        child = Child(process, self._log_folder / f"{name_of(process)}.log")
        self._children.append(child)
        return child

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self._children):
            child.stop()
        for child in reversed(self._children):
            if child.wait(STOP_SECONDS) is None:
                child.kill()
