"""Sums of Kubernetes quantities."""

import pytest

from gmeta_api.quantities import sum_of, total_resources


@pytest.mark.parametrize(
    ("quantities", "total"),
    [
        ([], "0"),
        (["0"], "0"),
        (["1", "2"], "3"),
        (["500m", "500m"], "1"),
        (["500m", "2"], "2500m"),
        (["0.0005"], "1m"),
        (["1.5"], "1500m"),
        (["2k", "1"], "2001"),
        (["1E"], "1000000000000000000"),
        (["1Gi", "512Mi"], "1536Mi"),
        (["1Gi", "1Gi"], "2Gi"),
        (["1.5Gi"], "1536Mi"),
        (["1Gi", "1"], "1073741825"),
        (["0Gi"], "0"),
        (["1Gi", "24M"], "1097741824"),
    ],
)
def test_a_sum_is_exact_in_a_unit_of_its_parts(quantities: list[str], total: str) -> None:
    assert sum_of(quantities) == total


def test_resources_are_summed_by_name() -> None:
    small, large = {"cpu": "500m"}, {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"}
    assert total_resources([(1, small), (3, large)]) == {"cpu": "6500m", "memory": "12Gi", "nvidia.com/gpu": "3"}
    assert total_resources([(1, {}), (3, {})]) == {}
