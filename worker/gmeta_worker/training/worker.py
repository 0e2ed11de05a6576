"""The worker's process: checks that it can do what the manifest asks for, then keeps its ranks to the attempt's end."""

import sys

from gmeta_api.errors import GMetaError
from gmeta_worker.coordination.client import CoordinatorClient
from gmeta_worker.coordination.messages import Finish
from gmeta_worker.membership.agent import run_agent
from gmeta_worker.runtime import Runtime
from gmeta_worker.training.rank import rank_process
from gmeta_worker.training.supported import check_supported


def run_worker(runtime: Runtime) -> int:
    """Take part in the job of `runtime`; the exit code."""
    try:
        check_supported(runtime.document.spec)
    except GMetaError as error:
        return _refuse(runtime, error)
    return run_agent(runtime, rank_process)


def _refuse(runtime: Runtime, error: GMetaError) -> int:
    print(f"gmeta: {error}", file=sys.stderr)
    attempt = runtime.document.attempt
    with CoordinatorClient(runtime.coordinator) as client:
        client.finish(Finish(attempt=attempt, outcome="failed", message=str(error), exit_code=error.exit_code))
    return error.exit_code
