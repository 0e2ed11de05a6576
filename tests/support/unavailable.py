"""What a test does where something that it needs is not there."""

import os
from typing import NoReturn

import pytest


def unavailable(reason: str) -> NoReturn:
    """Skip the test, with the reason; in CI, which must not pass by skipping, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (CI must not skip these tests)")
    pytest.skip(reason)
