"""A small valid manifest, and what loading a changed copy of it says."""

from collections.abc import Callable
from typing import Any

import pytest

from gmeta_api.errors import ManifestError
from gmeta_api.load import parse_job
from gmeta_api.settings import apply_settings

Manifest = dict[str, Any]


@pytest.fixture
def manifest() -> Manifest:
    return {
        "apiVersion": "gmeta.dev/v1alpha1",
        "kind": "MetaTrainingJob",
        "metadata": {"name": "quickstart"},
        "spec": {
            "volumes": [{"name": "data", "emptyDir": {}}, {"name": "runs", "emptyDir": {}}],
            "data": {
                "volume": "data",
                "path": "ml-100k",
                "prepare": {
                    "source": "ratings.csv",
                    "task": ["user_id"],
                    "labels": [{"name": "click", "rule": "rating >= 4"}],
                    "features": [
                        {"name": "movie", "type": "categorical", "columns": ["movie_id"]},
                        {"name": "genres", "type": "multi", "columns": ["genres"], "separator": "|"},
                        {"name": "age", "type": "numeric", "columns": ["age"]},
                    ],
                },
            },
            "checkpoint": {"volume": "runs", "path": "quickstart"},
        },
    }


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
