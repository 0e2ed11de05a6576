"""From a checked manifest to a local run: folders, earlier runs, data preparation, then the supervisor."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from rich.console import Console

from gmeta_api.errors import CheckpointError
from gmeta_api.exit_codes import ExitCode
from gmeta_api.plan import Process, make_plan
from gmeta_api.spec import MetaTrainingJob
from gmeta_worker.checkpoint import list_commits, next_attempt
from gmeta_worker.local.children import command_line, environment
from gmeta_worker.local.site import local_site, run_folder, volume_folders
from gmeta_worker.local.supervisor import Supervisor, Watch, watch_nothing
from gmeta_worker.membership.cores import share_cores
from gmeta_worker.training.supported import check_supported


class Start(Enum):
    """What to do with an earlier run of the job."""

    RESUME = "resume"
    FRESH = "fresh"


def launch(
    job: MetaTrainingJob,
    mappings: Iterable[str],
    start: Start | None,
    console: Console,
    watch: Watch = watch_nothing,
) -> int:
    """Run `job` on this machine, or as far as `watch` lets it; its exit code.

    Raises:
        ManifestError: a volume mapping is wrong, or the manifest asks for what this version cannot do.
        CheckpointError: there is an earlier run and `start` does not say what to do with it.
    """
    check_supported(job.spec)
    folders = volume_folders(job, mappings)
    folder = run_folder(job, folders)
    attempt = open_run_folder(folder, start)
    with tempfile.TemporaryDirectory(prefix="gmeta-") as scratch:
        job_path = Path(scratch) / "job.json"
        site = local_site(job, folders, job_path)
        plan = make_plan(job, site, attempt)
        job_path.write_text(plan.document.to_json())
        if plan.ignored:
            console.print(f"Ignored outside a cluster: {', '.join(plan.ignored)}", highlight=False)
        if plan.prepare is not None and (code := prepare(plan.prepare)) != ExitCode.OK:
            return code
        if plan.world_size > 1:
            share_cores(plan.world_size)
        address = f"http://{site.coordinator_host}:{site.coordinator_port}"
        code = Supervisor(plan, address, folder, console, watch).run()
    report = folder / "report.html"
    if report.exists():
        console.print(f"Report: {report}", highlight=False, soft_wrap=True)
    return code


def prepare(process: Process) -> int:
    """Run the one-shot data preparation with its progress on this terminal; its exit code."""
    return subprocess.run(command_line(process), env=environment(process), check=False).returncode  # noqa: S603


def open_run_folder(folder: Path, start: Start | None) -> int:
    """Make the run folder ready for a new attempt; the attempt's number.

    Locally this command plays the operator's part: only it raises the attempt, which fences the writers of older ones.
    """
    commits = list_commits(folder)
    if commits and start is None:
        raise CheckpointError(
            f"{folder}: holds {len(commits)} commit(s) of an earlier run; "
            "go on from the newest with --resume, or delete that run with --fresh"
        )
    if start is Start.FRESH:
        clear(folder)
        return 0
    return next_attempt(folder)


def clear(folder: Path) -> None:
    """Delete what runs write into a run folder, and nothing else."""
    for pattern in ("a[0-9]*", "logs", "tensorboard", "*.png", "report.json", "report.html", "events.jsonl"):
        for path in folder.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
