"""What every process of a job begins with: a log on stderr, its environment, and errors as messages."""

import logging
import os
import sys
from collections.abc import Callable

from gmeta_api.errors import GMetaError
from gmeta_worker.runtime import Runtime


def run_process(role: Callable[[Runtime], int]) -> int:
    """Run a role; the exit code is one of gmeta_api.exit_codes."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every message would drown the rest
    try:
        return int(role(Runtime.from_environment(os.environ)))
    except GMetaError as error:
        print(f"gmeta: {error}", file=sys.stderr)
        return error.exit_code
