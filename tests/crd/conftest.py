"""The current API server with the CRD as this checkout generates it, started once."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from crd_server import CrdServer, crd_server
from unavailable import unavailable

from gmeta_api.crd import custom_resource_definition


@pytest.fixture(scope="session")
def server() -> Iterator[CrdServer]:
    """The server, or the reason why there is none."""
    script = os.environ.get("GMETA_TEST_CLUSTER")
    if not script:
        unavailable("GMETA_TEST_CLUSTER is not set: a cluster's control script with crd_check.py beside it")
    with crd_server(Path(script)) as running:
        conditions = running.install(custom_resource_definition())
        assert conditions["Established"] == "True"
        assert "NonStructuralSchema" not in conditions
        yield running
