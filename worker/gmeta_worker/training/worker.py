"""The worker process: registers, runs, and tells the coordinator of every end that it lives to see."""

import sys

from gmeta_api.errors import GMetaError
from gmeta_worker.coordination.client import CoordinatorClient
from gmeta_worker.coordination.messages import Finish
from gmeta_worker.runtime import Runtime
from gmeta_worker.training.run import TrainingRun
from gmeta_worker.training.stop_signal import StopSignal
from gmeta_worker.training.supported import check_supported


def run_worker(runtime: Runtime) -> int:
    """Train the job of `runtime`; the exit code."""
    stop = StopSignal()
    client = CoordinatorClient(runtime.coordinator)
    attempt = runtime.document.attempt
    try:
        check_supported(runtime.document.spec)
        welcome = client.register(attempt, runtime.worker_index)
        for warning in welcome.warnings:
            print(f"gmeta: {warning}", file=sys.stderr)
        finish = TrainingRun(runtime, client, welcome, stop).outcome()
    except GMetaError as error:
        print(f"gmeta: {error}", file=sys.stderr)
        finish = Finish(attempt=attempt, outcome="failed", message=str(error), exit_code=error.exit_code)
    client.finish(finish)
    return finish.exit_code
