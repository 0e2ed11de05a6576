import pytest

from gmeta_operator.settings import Settings

IMAGE = {"GMETA_WORKER_IMAGE": "worker:1"}


def test_defaults() -> None:
    settings = Settings.from_environment(IMAGE)
    assert (settings.pods.image, settings.pods.pull_policy) == ("worker:1", None)
    assert (settings.namespaces, settings.monitoring_namespaces) == ((), ())
    assert (settings.own_namespace, settings.probe_port) == ("default", 8080)
    assert settings.lease == "gmeta-operator"
    assert settings.pod != Settings.from_environment(IMAGE).pod, "two operators outside of pods have one name"


def test_every_variable_is_read() -> None:
    settings = Settings.from_environment(
        {
            **IMAGE,
            "GMETA_WORKER_IMAGE_PULL_POLICY": "Never",
            "GMETA_NAMESPACES": "team-a, team-b",
            "GMETA_OPERATOR_NAMESPACE": "gmeta-system",
            "GMETA_MONITORING_NAMESPACES": "monitoring,",
            "GMETA_PROBE_PORT": "9000",
            "GMETA_LEASE_NAME": "gmeta",
            "GMETA_POD_NAME": "gmeta-1",
        }
    )
    assert settings.pods.pull_policy == "Never"
    assert settings.namespaces == ("team-a", "team-b")
    assert settings.own_namespace == "gmeta-system"
    assert settings.monitoring_namespaces == ("monitoring",)
    assert settings.probe_port == 9000
    assert (settings.lease, settings.pod) == ("gmeta", "gmeta-1")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"GMETA_WORKER_IMAGE": ""}, "GMETA_WORKER_IMAGE: expected the default image"),
        ({"GMETA_PROBE_PORT": "http"}, "GMETA_PROBE_PORT: expected a port number; received 'http'"),
    ],
)
def test_a_bad_variable_is_named(changes: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings.from_environment(IMAGE | changes)
