"""What the operator and a cluster's users may do: all that is needed, and no more."""

from typing import Any

import pytest
from charts import CASES, Helm, Objects, of_kind

READ = {"get", "list", "watch"}
APPLY = {"create", "patch"}
OPERATOR = {
    ("gmeta.dev", "metatrainingjobs"): READ,
    ("gmeta.dev", "metatrainingjobs/status"): {"patch"},
    ("gmeta.dev", "metatrainingjobs/finalizers"): {"update"},
    ("", "pods"): {"list", "watch", "create", "patch", "delete"},
    ("", "services"): APPLY,
    ("", "configmaps"): APPLY,
    ("networking.k8s.io", "networkpolicies"): APPLY,
    ("", "events"): {"create"},
}


def rights(role: dict[str, Any]) -> dict[tuple[str, str], set[str]]:
    """(group, resource) -> verbs."""
    found: dict[tuple[str, str], set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


def named(objects: Objects, kind: str, name: str) -> Objects:
    return [found for found in of_kind(objects, kind) if found["metadata"]["name"] == name]


def test_cluster_wide_rights(helm: Helm) -> None:
    objects = helm.objects({})
    (role,) = named(objects, "ClusterRole", "gmeta")
    (binding,) = of_kind(objects, "ClusterRoleBinding")
    assert rights(role) == OPERATOR | {("apiextensions.k8s.io", "customresourcedefinitions"): {"list", "watch"}}
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "gmeta"}
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "gmeta", "namespace": "gmeta-system"}]


def test_rights_in_the_named_namespaces_only(helm: Helm) -> None:
    objects = helm.objects(CASES["namespaces"])
    roles, bindings = named(objects, "Role", "gmeta"), named(objects, "RoleBinding", "gmeta")
    assert [role["metadata"]["namespace"] for role in roles] == ["team-a", "team-b"]
    assert [binding["metadata"]["namespace"] for binding in bindings] == ["team-a", "team-b"]
    assert all(rights(role) == OPERATOR for role in roles)
    assert all(binding["roleRef"]["kind"] == "Role" for binding in bindings)
    assert of_kind(objects, "ClusterRoleBinding") == []
    assert named(objects, "ClusterRole", "gmeta") == []


@pytest.mark.parametrize("case", CASES)
def test_no_role_reads_secrets_executes_or_takes_all(helm: Helm, case: str) -> None:
    for role in [*of_kind(helm.objects(CASES[case]), "ClusterRole"), *of_kind(helm.objects(CASES[case]), "Role")]:
        for (group, resource), verbs in rights(role).items():
            assert "*" not in {group, resource, *verbs}
            assert resource.split("/")[0] not in {"secrets", "serviceaccounts", "roles", "rolebindings", "nodes"}
            assert resource not in {"pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers"}
            assert not verbs & {"escalate", "bind", "impersonate"}


def test_users_rights_are_aggregated(helm: Helm) -> None:
    objects = helm.objects({})
    (viewer,) = named(objects, "ClusterRole", "gmeta-viewer")
    (editor,) = named(objects, "ClusterRole", "gmeta-editor")
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    assert {label for label in viewer["metadata"]["labels"] if label.startswith(prefix)} == {f"{prefix}view"}
    assert {label for label in editor["metadata"]["labels"] if label.startswith(prefix)} == {
        f"{prefix}edit",
        f"{prefix}admin",
    }
    assert set().union(*rights(viewer).values()) == READ
    assert rights(editor) == {
        ("gmeta.dev", "metatrainingjobs"): READ | {"create", "update", "patch", "delete", "deletecollection"},
        ("gmeta.dev", "metatrainingjobs/scale"): {"get", "update", "patch"},
        ("gmeta.dev", "metatrainingjobs/status"): {"get"},
    }


def test_nothing_is_granted_where_rbac_is_off(helm: Helm) -> None:
    kinds = {found["kind"] for found in helm.objects(CASES["bare"])}
    assert not kinds & {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "ServiceAccount"}
