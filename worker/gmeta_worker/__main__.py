"""`python -m gmeta_worker ROLE`: the processes of a job, with everything else in their environment."""

import logging
import os
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

from gmeta_api.errors import GMetaError
from gmeta_api.exit_codes import ExitCode
from gmeta_worker.runtime import Runtime


def prepare(runtime: Runtime) -> int:
    """The one-shot data preparation."""
    from gmeta_worker.metaio.prepare import run

    data = runtime.document.spec.data
    assert data.prepare is not None, "the plan has this process only where the manifest has spec.data.prepare"
    run(data.prepare, runtime.volumes[data.volume], runtime.dataset_folder)
    return ExitCode.OK


def coordinator(runtime: Runtime) -> int:
    """The job's coordinator."""
    from gmeta_worker.coordination.service import run_coordinator
    from gmeta_worker.report import write_report

    address = urlsplit(runtime.coordinator)
    assert address.hostname is not None
    assert address.port is not None
    return run_coordinator(
        runtime.document, address.hostname, address.port, runtime.run_folder, write_report, runtime.last_words
    )


def worker(runtime: Runtime) -> int:
    """A worker: the agent that keeps its ranks."""
    from gmeta_worker.membership.agent import run_agent

    return run_agent(runtime)


def rank(runtime: Runtime) -> int:
    """One rank of a worker; its agent starts it."""
    from gmeta_worker.training.rank import run_rank

    return run_rank(runtime)


ROLES: dict[str, Callable[[Runtime], int]] = {
    "prepare": prepare,
    "coordinator": coordinator,
    "worker": worker,
    "rank": rank,
}


def main() -> int:
    """Run the role named on the command line; the exit code is one of gmeta_api.exit_codes."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every message would drown the rest
    role = ROLES.get(sys.argv[1]) if len(sys.argv) == 2 else None
    if role is None:
        print(f"usage: python -m gmeta_worker {{{'|'.join(ROLES)}}}", file=sys.stderr)
        return ExitCode.USAGE
    try:
        return int(role(Runtime.from_environment(os.environ)))
    except GMetaError as error:
        print(f"gmeta: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
