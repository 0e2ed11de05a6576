"""A process that commits in a loop is killed at random points: what is left is always a whole commit."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from gmeta_worker.checkpoint import load_commit, newest_valid

WRITER = """
import sys
from pathlib import Path
import torch
from gmeta_api.document import JobIdentity
from gmeta_worker.checkpoint import CommitManifest, CommitWriter, Layout, Ledger, Table, prune, publish
run, step = Path(sys.argv[1]), int(sys.argv[2])
layout = Layout(dim=64, tables={"t": Table(rows=10**6, vocabulary="hash")})
writer = CommitWriter(run, 0, 1, layout)
while True:
    step += 1
    state = torch.full((5000,), float(step))
    files = writer.write(step, {"w": state}, lambda lo, hi: {"weights": state}, {})
    manifest = CommitManifest(
        job=JobIdentity(name="demo", namespace="default"), attempt=0, generation=1, step=step,
        ledger=Ledger(global_step=step), layout=layout, spec={}, files=tuple(files),
    )
    publish(run, manifest)
    print(step, flush=True)
    prune(run, 2, (0, step))
"""

KILLS = 4


def test_newest_valid_always_loads_a_whole_commit(tmp_path: Path) -> None:
    last = 0
    for kill in range(KILLS):
        told = _commit_until_killed(tmp_path, last, random.Random(kill).uniform(0.0, 0.12))
        commit, skipped = newest_valid(tmp_path)
        assert skipped == ()
        assert commit is not None
        assert commit.manifest.step >= told, "a commit that was told of is lost"
        last = commit.manifest.step
        loaded = load_commit(commit)
        tensors = [loaded.dense["w"], *(group["weights"] for _, _, group in loaded.row_groups())]
        assert len(tensors) == 5
        assert all(torch.equal(tensor, torch.full((5000,), float(last))) for tensor in tensors)


def _commit_until_killed(run: Path, step: int, seconds: float) -> int:
    """Let a process commit, kill it some time after its first commit; the last step that it told of."""
    command = [sys.executable, "-c", WRITER, str(run), str(step)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{step + 1}\n"
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        told = process.stdout.read().split()
    return int(told[-1]) if told else step + 1
