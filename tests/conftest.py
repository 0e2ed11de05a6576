"""What every test may use: where the real data is, and that CI never passes by skipping it."""

import os
from pathlib import Path

import pytest
from unavailable import unavailable


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; the test is skipped, with the reason, where GMETA_TEST_DATA is not set."""
    folder = os.environ.get("GMETA_TEST_DATA")
    if folder is None:
        unavailable("GMETA_TEST_DATA is not set: point it to a folder with ml-100k/, ml-1m/ and sparrow-ml20m-ctr/")
    return Path(folder)
