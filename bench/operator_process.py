"""For the operator's benchmark: the operator as a process, and coordinators that answer as real ones do."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from bench.operator_cluster import wait_until
from gmeta_api.document import JobIdentity
from gmeta_api.objects import COORDINATOR_PORT
from gmeta_worker.coordination.messages import CommitRef
from gmeta_worker.coordination.status import GoodputStatus, ProgressStatus, Status, WorkerStatus

PORT = 18080
WRITES = frozenset({"apply", "create", "delete"})


@dataclass(frozen=True)
class Usage:
    """What the operator has used and done since its start."""

    moment: float
    cpu_seconds: float
    writes: float
    polls: float


class Operator:
    """A running operator that serves every namespace."""

    def __init__(self, log: Path) -> None:
        self._log = log.open("w")
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{PORT}")
        environment = {**os.environ, "GMETA_WORKER_IMAGE": "worker:none", "GMETA_PROBE_PORT": str(PORT)}
        started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gmeta_operator"], env=environment, stdout=self._log, stderr=self._log
        )
        wait_until(self._ready, "the operator's /readyz")
        self.start_seconds = time.monotonic() - started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._http.close()
        self._log.close()

    def usage(self) -> Usage:
        """What it has used so far."""
        families = {family.name: family.samples for family in text_string_to_metric_families(self._metrics())}
        (cpu,) = families["process_cpu_seconds"]
        requests, polls = families["gmeta_operator_api_requests"], families["gmeta_operator_polls"]
        return Usage(
            moment=time.monotonic(),
            cpu_seconds=cpu.value,
            writes=sum(each.value for each in requests if each.labels["verb"] in WRITES),
            polls=sum(each.value for each in polls if each.labels.get("outcome") == "answered"),
        )

    def _metrics(self) -> str:
        return self._http.get("/metrics").text

    def peak_mib(self) -> float:
        """The most memory that it ever held."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
        return int(peak) / 1024

    def _ready(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"the operator has ended: {Path(self._log.name).read_text()[-2000:]}")
        try:
            return self._http.get("/readyz").is_success
        except httpx.TransportError:
            return False


def import_seconds() -> float:
    """The least of three times that Python takes to start and import the operator."""
    times = []
    for _ in range(3):
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", "import gmeta_operator.__main__"], check=True)
        times.append(time.monotonic() - started)
    return min(times)


class _Quiet(ThreadingHTTPServer):
    """Says nothing about connections that the operator drops when it ends."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Nothing."""


class Coordinators:
    """Answers GET /v1/status on every loopback address: the same for ever, or with a step that goes up."""

    def __init__(self) -> None:
        self.training = False

    def document(self) -> bytes:
        """The status document of a job with four workers."""
        step = int(time.monotonic() * 10) if self.training else 1000
        progress = ProgressStatus(
            epoch=1,
            epochs=3,
            step=step,
            total_steps=10**9,
            samples=50 * step,
            samples_per_second=5000.0,
            tasks_per_second=200.0,
            loss=0.5,
            auc=0.7,
            input_wait_share=0.1,
        )
        workers = tuple(
            WorkerStatus(worker=rank, first_rank=rank, ranks=1, host="w", seconds_since_message=1.0)
            for rank in range(4)
        )
        status = Status(
            job=JobIdentity(name="demo", namespace="bench"),
            state="running",
            attempt=0,
            generation=1,
            progress=progress,
            commit=CommitRef(attempt=0, generation=1, step=1000, path="a0/s1000"),
            commits=1,
            last_evaluation=None,
            evaluations=0,
            export=None,
            workers=workers,
            waiting=(),
            world_size=4,
            reason="",
            restarts={},
            warnings=(),
            goodput=GoodputStatus(training=self.training, productive_seconds=step / 10),
            finished=None,
        )
        return status.model_dump_json().encode()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve while the block runs."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = outer.document()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:  # noqa: ANN401
                """Nothing."""

        server = _Quiet(("", COORDINATOR_PORT), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
