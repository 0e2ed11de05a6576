"""A small valid manifest, and what loading a changed copy of it says."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from rule_cases import SMALL_MANIFEST

from gmeta_api.errors import ManifestError
from gmeta_api.load import parse_job
from gmeta_api.settings import apply_settings

Manifest = dict[str, Any]


@pytest.fixture
def manifest() -> Manifest:
    return deepcopy(SMALL_MANIFEST)


@pytest.fixture
def problems(manifest: Manifest) -> Callable[..., str]:
    """The whole message for the manifest with some values set; empty where it is valid."""

    def message(*settings: str) -> str:
        try:
            parse_job(apply_settings(manifest, settings))
        except ManifestError as error:
            return str(error)
        return ""

    return message
