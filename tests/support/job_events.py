"""The coordinator's events, as they lie in a run folder."""

import json
from typing import Any

from gmeta_worker.checkpoint.object_path import Folder


def events_of(run_folder: Folder, kind: str) -> list[dict[str, Any]]:
    """The events of a kind so far; none before there is a coordinator."""
    path = run_folder / "events.jsonl"
    lines = path.read_bytes().decode().splitlines() if path.exists() else []
    messages = [json.loads(line)["message"] for line in lines if line.endswith("}")]
    return [message for message in messages if message["kind"] == kind]
