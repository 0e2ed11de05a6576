"""`python -m gmeta_worker ROLE`: the processes of a job, with everything else in their environment."""

import sys
from collections.abc import Callable
from urllib.parse import urlsplit

from gmeta_api.exit_codes import ExitCode
from gmeta_worker.membership.parent import die_with_parent, has_parent
from gmeta_worker.process import run_process
from gmeta_worker.runtime import Runtime


def prepare(runtime: Runtime) -> int:
    """The one-shot data preparation."""
    from gmeta_worker.metaio.prepare import run

    data = runtime.document.spec.data
    assert data.prepare is not None, "the plan has this process only where the manifest has spec.data.prepare"
    run(data.prepare, runtime.data_folder, runtime.dataset_folder)
    return ExitCode.OK


def coordinator(runtime: Runtime) -> int:
    """The job's coordinator."""
    from gmeta_worker.coordination.service import run_coordinator
    from gmeta_worker.report import write_report
    from gmeta_worker.tensorboard import follow_scalars

    address = urlsplit(runtime.coordinator)
    assert address.hostname is not None
    assert address.port is not None
    return run_coordinator(
        runtime.document,
        address.hostname,
        address.port,
        runtime.run_folder,
        write_report,
        runtime.last_words,
        runtime.job_file,
        follow_scalars,
    )


def worker(runtime: Runtime) -> int:
    """A worker: the agent that keeps its ranks."""
    from gmeta_worker.membership.fork_server import start_fork_server

    start_fork_server(runtime.local_size, preload="gmeta_worker.training.preload")
    from gmeta_worker.training.worker import run_worker

    return run_worker(runtime)


ROLES: dict[str, Callable[[Runtime], int]] = {"prepare": prepare, "coordinator": coordinator, "worker": worker}


def main() -> int:
    """Run the role named on the command line; the exit code is one of gmeta_api.exit_codes."""
    role = ROLES.get(sys.argv[1]) if len(sys.argv) == 2 else None
    if role is None:
        print(f"usage: python -m gmeta_worker {{{'|'.join(ROLES)}}}", file=sys.stderr)
        return ExitCode.USAGE
    if has_parent():
        die_with_parent()
    return run_process(role)


if __name__ == "__main__":
    sys.exit(main())
