"""The operator on a real API server: time until a job's pods are made, and what many jobs cost.

The operator is the real process. The API server has no nodes: pods are made but do not run. Where running ones are
needed, this benchmark writes their status as a kubelet would, and a server of its own answers for their coordinators.
`kubectl apply` is a POST here, without kubectl's own start; a pod is there when a watch of pods tells so.
"""
# ruff: noqa: A005  # it is called `python -m bench operator`

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.goals import Goal
from bench.operator_cluster import PodWatch, Server, api_only_cluster, wait_until
from bench.operator_process import Coordinators, Operator, import_seconds
from bench.result import publish

LIMIT_SECONDS = 1.0
GOALS = {
    "operator_pods_created_p95_vs_limit": Goal(1.0, at_most=True),
    "writes_per_job": Goal(25.0, at_most=True),
    "peak_mb": Goal(150.0, at_most=True),
    "idle_share_of_a_core": Goal(0.15, at_most=True),
    "foreign_pods_memory_ratio": Goal(1.05, at_most=True),
}
WORKERS = 4
FEW_JOBS = 10
PAUSE = 0.3
"""Seconds of rest before a job that is to be met by an idle operator."""

Figures = dict[str, Any]


def main(argv: list[str]) -> int:
    """Print the figures, and fail where pods take longer than allowed at the 95th percentile."""
    parser = argparse.ArgumentParser(prog="python -m bench operator", description=__doc__)
    parser.add_argument("--repeats", type=int, default=50, help="jobs that an idle operator meets, one after another")
    parser.add_argument("--jobs", type=int, default=1000, help="jobs that run at the same time")
    parser.add_argument("--foreign", type=int, default=5000, help="pods of others, beside which a few jobs are served")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long their cost is measured")
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if not args.inside:
        return run_inside(argv)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), args.repeats, args.jobs, args.foreign, args.seconds)
    ratios = {
        "operator_pods_created_p95_vs_limit": figures["pods_created_seconds"]["p95"] / LIMIT_SECONDS,
        "writes_per_job": figures["writes_per_job"],
        "peak_mb": figures["training"]["peak_rss_mib"],
        "idle_share_of_a_core": figures["idle"]["share_of_a_core"],
        "training_share_of_a_core": figures["training"]["share_of_a_core"],
        "foreign_pods_memory_ratio": figures["beside_foreign_pods"]["peak_rss_mib"]
        / figures["few_jobs"]["peak_rss_mib"],
    }
    return publish(args.out, ratios, figures, GOALS)


def run_inside(argv: list[str]) -> int:
    """Start an API server, and this benchmark again in its network."""
    script = os.environ.get("GMETA_TEST_CLUSTER")
    if script is None:
        print("bench operator: GMETA_TEST_CLUSTER: expected the path of a cluster's control script; it is not set")
        return 2
    with api_only_cluster(Path(script)) as words:
        command = [*words, sys.executable, "-m", "bench", "operator", "--inside", *argv]
        return subprocess.run(command, check=False).returncode


def measure(folder: Path, repeats: int, jobs: int, foreign: int, seconds: float) -> Figures:
    """All figures, printed as they come."""
    server, coordinators = Server(), Coordinators()
    server.prepare()
    load, _, _ = os.getloadavg()
    figures: Figures = {"machine_load": load, "workers_per_job": WORKERS, "jobs": jobs, "foreign_pods": foreign}
    figures["import_seconds"] = import_seconds()
    print(f"load of the machine before: {load:.1f} on {os.cpu_count()} cores")
    watch = server.watch_pods()
    with coordinators.serving():
        with Operator(folder / "few.log") as operator:
            figures["start_seconds"] = operator.start_seconds
            print(f"start: {operator.start_seconds:.2f} s until ready; to import it {figures['import_seconds']:.2f} s")
            figures["pods_created_seconds"] = created = distribution(meet_one_by_one(server, watch, repeats))
            print(
                f"pods of a job ({WORKERS + 1}) made at idle, {repeats} times: p50 {created['p50'] * 1e3:.0f} ms, "
                f"p95 {created['p95'] * 1e3:.0f} ms, max {created['max'] * 1e3:.0f} ms"
            )
        figures["few_jobs"] = serve_few(server, watch, folder / "few.log", "few")
        server.add_foreign_pods(foreign)
        figures["beside_foreign_pods"] = serve_few(server, watch, folder / "foreign.log", "beside")
        server.remove_foreign_pods()
        with Operator(folder / "many.log") as operator:
            figures |= serve_many(server, watch, operator, coordinators, jobs, seconds)
    return figures


def serve_few(server: Server, watch: PodWatch, log: Path, name: str) -> Figures:
    """What a new operator holds after it has met a few jobs, which are gone in the end."""
    with Operator(log) as operator:
        meet_at_once(server, watch, name, FEW_JOBS)
        time.sleep(5.0)
        peak = operator.peak_mib()
        for number in range(FEW_JOBS):
            server.delete(f"{name}-{number}")
        watch.wait_for("DELETED", None, FEW_JOBS * (WORKERS + 1))
    print(f"{FEW_JOBS} jobs ({name}): peak RSS {peak:.0f} MiB", flush=True)
    return {"peak_rss_mib": peak}


def serve_many(
    server: Server, watch: PodWatch, operator: Operator, coordinators: Coordinators, jobs: int, seconds: float
) -> Figures:
    """What many jobs cost: to be made and brought to run, at rest, and while they train."""
    figures: Figures = {"all_at_once_seconds": meet_at_once(server, watch, "many", jobs)}
    at_once = figures["all_at_once_seconds"]
    print(f"{jobs} jobs at once: {at_once:.1f} s, {jobs * (WORKERS + 1) / at_once:.0f} pods/s", flush=True)
    server.run_on_paper()
    wait_until(lambda: server.running() == jobs, "all jobs to be Running")
    figures["writes_per_job"] = operator.usage().writes / jobs
    print(f"writes from a job's creation until it runs: {figures['writes_per_job']:.1f} a job", flush=True)
    for name in ("idle", "training"):
        coordinators.training = name == "training"
        figures[name] = cost = watch_cost(operator, jobs, seconds)
        print(
            f"{jobs} jobs, {name + ':':<9} {cost['share_of_a_core']:6.1%} of a core, peak RSS "
            f"{cost['peak_rss_mib']:.0f} MiB, {cost['writes_per_job_and_minute']:.2f} writes and "
            f"{cost['polls_per_job_and_minute']:.1f} polls per job and minute",
            flush=True,
        )
    return figures


def meet_one_by_one(server: Server, watch: PodWatch, repeats: int) -> list[float]:
    """Seconds from the creation of a job until all of its pods are there, each job alone."""
    times = []
    for number in range(repeats):
        name = f"alone-{number}"
        time.sleep(PAUSE)
        started = time.monotonic()
        server.submit(name, WORKERS)
        times.append(watch.wait_for("ADDED", name, WORKERS + 1) - started)
    for number in range(repeats):
        server.delete(f"alone-{number}")
    watch.wait_for("DELETED", None, repeats * (WORKERS + 1))
    return times


def meet_at_once(server: Server, watch: PodWatch, name: str, jobs: int) -> float:
    """Seconds from the creation of the first of many jobs until all pods are there."""
    started = time.monotonic()
    for number in range(jobs):
        server.submit(f"{name}-{number}", WORKERS)
    return watch.wait_for("ADDED", None, jobs * (WORKERS + 1)) - started


def watch_cost(operator: Operator, jobs: int, seconds: float) -> Figures:
    """What the operator uses and writes in some time, after some rest."""
    time.sleep(min(30.0, seconds))
    before = operator.usage()
    time.sleep(seconds)
    after = operator.usage()
    minutes = (after.moment - before.moment) / 60
    return {
        "seconds": after.moment - before.moment,
        "share_of_a_core": (after.cpu_seconds - before.cpu_seconds) / (after.moment - before.moment),
        "peak_rss_mib": operator.peak_mib(),
        "writes_per_job_and_minute": (after.writes - before.writes) / jobs / minutes,
        "polls_per_job_and_minute": (after.polls - before.polls) / jobs / minutes,
    }


def distribution(times: list[float]) -> dict[str, float]:
    """Median, 95th percentile and maximum."""
    return {
        "p50": statistics.median(times),
        "p95": statistics.quantiles(times, n=20, method="inclusive")[-1],
        "max": max(times),
    }
