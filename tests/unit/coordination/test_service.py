"""The real coordinator process over loopback: killed, started again, stopped."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from gmeta_api.document import JobDocument
from gmeta_worker.checkpoint import CommitWriter, Layout, Table
from gmeta_worker.coordination import CoordinatorClient, Finish, Round

COORDINATOR = """
import sys
from pathlib import Path
from gmeta_api.document import JobDocument
from gmeta_api.errors import GMetaError
from gmeta_worker.coordination.service import run_coordinator

def report(folder, document, events):
    if (folder / "full").exists():
        raise GMetaError("the disk is full")
    (folder / "report.txt").write_text(f"{document.job.name} {len(events)}")

folder = Path(sys.argv[1])
document = JobDocument.from_json((folder / "job.json").read_text())
try:
    sys.exit(run_coordinator(document, "127.0.0.1", int(sys.argv[2]), folder, report))
except GMetaError as error:
    sys.exit(str(error))
"""

Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def start(make_document: Callable[..., JobDocument], tmp_path: Path, port: int) -> Iterator[Start]:
    (tmp_path / "job.json").write_text(make_document().to_json())
    processes: list[subprocess.Popen[str]] = []

    def run() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", COORDINATOR, str(tmp_path), str(port)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        processes.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def client(port: int) -> Iterator[CoordinatorClient]:
    with CoordinatorClient(f"http://127.0.0.1:{port}") as client:
        yield client


def joined(client: CoordinatorClient, messages: Any) -> Round:
    reply = client.join(messages.join())
    assert isinstance(reply, Round)
    return reply


def end(client: CoordinatorClient, messages: Any, finish: Finish) -> None:
    client.finish(finish)
    assert client.leave(messages.leave())


@contextmanager
def within(seconds: float) -> Iterator[None]:
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < seconds


def test_a_killed_coordinator_goes_on_with_the_same_worker(
    start: Start, client: CoordinatorClient, messages: Any, tmp_path: Path
) -> None:
    first = start()
    announced = joined(client, messages)
    layout = Layout(dim=4, tables={"movie": Table(rows=10, vocabulary="hash")})
    writer = CommitWriter(tmp_path, 0, announced.generation, layout)
    files = tuple(writer.write(5, {"w": torch.ones(2)}, lambda lo, hi: {}, {}))
    client.shard_written(messages.shard(5, files=files, layout=layout))
    assert client.progress(messages.progress(6))
    before = client.status()
    first.kill()
    first.wait()
    assert client.progress(messages.progress(7)) is False, "its death stops nothing"

    start()
    again = joined(client, messages)
    after = client.status()
    assert again == announced
    volatile = {"workers": {"__all__": {"seconds_since_message"}}}
    assert after.model_dump_json(exclude=volatile) == before.model_dump_json(exclude=volatile)
    assert client.progress(messages.progress(8))
    end(client, messages, messages.finish(outcome="stopped"))


def test_the_end_is_reported_and_gives_the_exit_code(
    start: Start, client: CoordinatorClient, messages: Any, tmp_path: Path
) -> None:
    process = start()
    joined(client, messages)
    end(client, messages, messages.finish(outcome="failed", message="the loss is nan", exit_code=69))
    assert process.wait(timeout=10) == 69
    assert (tmp_path / "report.txt").read_text() == "demo 2"
    assert start().wait(timeout=10) == 69, "started again, it has nothing left to do"


def test_a_report_that_fails_does_not_change_the_outcome(
    start: Start, client: CoordinatorClient, messages: Any, tmp_path: Path
) -> None:
    (tmp_path / "full").touch()
    process = start()
    joined(client, messages)
    end(client, messages, messages.finish())
    _, error = process.communicate(timeout=10)
    assert (process.returncode, error) == (0, "no report: the disk is full\n")


def test_an_exit_code_that_is_not_ours_is_an_internal_error(
    start: Start, client: CoordinatorClient, messages: Any
) -> None:
    process = start()
    client.finish(messages.finish(generation=None, outcome="failed", message="killed", exit_code=137))
    assert process.wait(timeout=10) == 1


def test_sigterm_waits_for_the_workers_last_words(start: Start, client: CoordinatorClient, messages: Any) -> None:
    process = start()
    joined(client, messages)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert client.status().state == "running"
    end(client, messages, messages.finish(outcome="interrupted", exit_code=143))
    assert process.wait(timeout=10) == 143


def test_a_second_sigterm_waits_for_nobody(
    start: Start, client: CoordinatorClient, messages: Any, tmp_path: Path
) -> None:
    process = start()
    joined(client, messages)
    with within(5):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 143
    assert (tmp_path / "report.txt").exists()


def test_sigterm_before_any_worker_ends_at_once(start: Start, client: CoordinatorClient) -> None:
    process = start()
    while client.try_status() is None:
        time.sleep(0.05)
    with within(5):
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 143


def test_a_port_that_is_taken(start: Start, port: int) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        _, error = start().communicate(timeout=20)
    assert error.splitlines()[-1].startswith(f"127.0.0.1:{port}: the coordinator cannot listen there (")
    assert error.splitlines()[-1].endswith("); stop what uses the port, or give the coordinator another one")


def test_a_second_coordinator_in_the_same_folder(start: Start, client: CoordinatorClient, tmp_path: Path) -> None:
    start()
    while client.try_status() is None:
        time.sleep(0.05)
    _, error = start().communicate(timeout=20)
    assert error == (
        f"{tmp_path}: another coordinator is running in this run folder; "
        "stop it first, or give this job its own spec.checkpoint.path\n"
    )
