"""The last failure of a job in words."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gmeta_kubectl.text import age


def failure_words(failure: Mapping[str, Any], now: datetime) -> str:
    """A failure as one sentence; empty where there is none."""
    if not failure:
        return ""
    code, node = failure.get("exitCode"), f" on {failure['node']}" if failure.get("node") else ""
    ended = "was lost" if code is None else f"ended with exit code {code}"
    cause = ", ".join(str(failure[name]) for name in ("class", "reason") if failure.get(name))
    words = f": {failure['message']}" if failure.get("message") else ""
    return f"{age(failure.get('time'), now)} ago: {failure.get('pod', 'a pod')}{node} {ended} ({cause}){words}"
