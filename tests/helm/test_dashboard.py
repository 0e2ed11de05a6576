"""The dashboard asks only for metrics and labels that are served, as Grafana's linter would have it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
from charts import CASES, CHART, ROOT, Helm, only

DASHBOARD = json.loads((CHART / "files/gmeta-job.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
ROW = re.compile(r"^\| `(?P<name>gmeta_\w+)` \| (?P<type>\w+) \|(?P<labels>[^|]*)\|", re.MULTILINE)
NAME = re.compile(r"gmeta_\w+")
EXPORTS = "gmeta_job_export_created_seconds"
"""Jobs export to one place in turn, so it is asked for by namespace and place."""
SELECTOR = re.compile(r"(gmeta_(?!operator_)\w+)\{([^}]*)\}")


def served() -> Iterator[tuple[str, tuple[str, set[str]]]]:
    """Series name -> type and labels of its own, from docs/metrics.md (which a test holds to what is served)."""
    for row in ROW.finditer((ROOT / "docs/metrics.md").read_text()):
        suffix = "_bucket" if row["type"] == "histogram" else ""
        yield row["name"] + suffix, (row["type"], set(re.findall(r"`(\w+)`", row["labels"])))


SERVED = dict(served())


def substituted(query: str) -> str:
    """A query as Grafana sends it."""
    return (
        query.replace("$__rate_interval", "1m")
        .replace("$__range", "1h")
        .replace("$job_name", "demo")
        .replace("$namespace", "lab")
    )


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_a_query_parses_and_its_metrics_are_served(title: str, query: str) -> None:
    promql_parser.parse(substituted(query))
    names = NAME.findall(query)
    assert names, title
    assert set(names) <= set(SERVED)
    of_jobs = [name for name in names if not name.startswith("gmeta_operator_")]
    assert of_jobs == [name for name, _ in SELECTOR.findall(query)], (
        "every metric of a job is selected by job and namespace"
    )
    for name, matchers in SELECTOR.findall(query):
        one_job = "" if name == EXPORTS else 'job_name="$job_name",'
        assert matchers == f'{one_job}namespace="$namespace"'


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_a_query_groups_by_labels_that_its_metric_has(title: str, query: str) -> None:
    own: set[str] = set().union(*(SERVED[name][1] for name in NAME.findall(query)))
    common = {"le"} if "_bucket" in query else set()
    common |= set() if re.search("gmeta_(job|operator)_", query) else {"rank"}
    for labels in re.findall(r"\bby \(([^)]*)\)", query):
        assert {label.strip() for label in labels.split(",")} <= own | common, title


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_counters_are_read_as_rates_and_gauges_are_not(title: str, query: str) -> None:
    for name in NAME.findall(query):
        counted = SERVED[name][0] in {"counter", "histogram"}
        rated = re.search(rf"rate\({name}[{{\[]", query) is not None
        assert rated == counted, title
        assert not rated or re.search(r"\[\$__(rate_interval|range)\]", query)


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_a_panel_explains_itself(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_variables_choose_source_namespace_and_job() -> None:
    variables = DASHBOARD["templating"]["list"]
    assert [variable["name"] for variable in variables] == ["datasource", "namespace", "job_name"]
    assert variables[2]["definition"] == 'label_values(gmeta_job_state{namespace="$namespace"}, job_name)'
    assert "gmeta_job_state" in SERVED
    assert DASHBOARD["editable"] is False


def test_the_config_map_holds_the_dashboard(each_helm: Helm) -> None:
    found = only(each_helm.objects(CASES["everything"]), "ConfigMap")
    assert found["metadata"]["namespace"] == "monitoring"
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"] == {"grafana_folder": "Training"}
    assert json.loads(found["data"]["gmeta-job.json"]) == DASHBOARD
