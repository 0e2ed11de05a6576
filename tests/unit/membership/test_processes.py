"""Ranks die with their agent, and share the machine's cores."""

import os
import signal
import subprocess
import sys

import pytest
from local_job import alive, wait_until

from gmeta_worker.membership.cores import share_cores

CHILD = (
    "from gmeta_worker.membership.parent import die_with_parent; die_with_parent(); print('up', flush=True); input()"
)
PARENT = f"""
import subprocess, sys
from gmeta_worker.membership.parent import announce_parent
announce_parent()
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_dies_with_its_parent_however_that_ends(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.send_signal(number)
        parent.wait()
        wait_until(lambda: not alive(child), "the child's end")


def test_a_process_whose_parent_is_gone_already_does_not_start() -> None:
    environment = {**os.environ, "GMETA_PARENT_PID": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CHILD], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "this process's parent is gone\n"


@pytest.mark.parametrize(("ranks", "threads"), [(1, 8), (2, 4), (3, 2), (20, 1)])
def test_ranks_share_the_cores(ranks: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    share_cores(ranks)
    assert os.environ["OMP_NUM_THREADS"] == str(threads)


def test_a_number_of_threads_that_is_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    share_cores(4)
    assert os.environ["OMP_NUM_THREADS"] == "3"
