"""The alerts fire when they should by Prometheus's own rule tests, and docs/metrics.md tells what to do about each."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts import ROOT, Helm, only
from unavailable import unavailable

ENABLED = {"prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}}}
HOUR = 3600
DOCS = (ROOT / "docs/metrics.md").read_text()
EXPORTED = 'gmeta_job_export_created_seconds{namespace="team",volume="runs",path="exports/movies",job_name="%s"}'

LOST = 'gmeta_job_lost_seconds{{namespace="team",job_name="{job}",cause="{cause}",instance="{instance}"}}'


def rule_of(helm: Helm, **values: Any) -> dict[str, Any]:
    return only(helm.objects({"prometheusRule": {**ENABLED["prometheusRule"], **values}}), "PrometheusRule")


def promtool(*arguments: str | Path) -> None:
    if shutil.which("promtool") is None:
        unavailable("no promtool on PATH: install Debian's package `prometheus`")
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def check_rules(
    helm: Helm, folder: Path, values: dict[str, Any], series: list[dict[str, str]], asked: dict[str, Any]
) -> None:
    """Ask Prometheus's rule test what the rules say of these series."""
    rules, tests = folder / "rules.yaml", folder / "tests.yaml"
    rules.write_text(yaml.safe_dump(rule_of(helm, **values)["spec"]))
    minutely = {"interval": "1m", "input_series": series, "alert_rule_test": [asked]}
    tests.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [minutely]}))
    promtool("check", "rules", rules)
    promtool("test", "rules", tests)


@pytest.mark.parametrize(
    ("hours", "made", "fires"),
    [
        (24, [0], False),
        (24, [0, 20], False),
        (24, [-2], True),
        (24, [-10, -3], True),
        (48, [-2], False),
    ],
)
def test_an_export_is_stale_when_the_newest_of_its_place_is(
    helm: Helm, tmp_path: Path, hours: int, made: list[int], fires: bool
) -> None:
    """At hour 23.5, of exports that were made in these hours; series may begin before the test does."""
    place = {"namespace": "team", "path": "exports/movies", "volume": "runs"}
    alert = {
        "exp_labels": {**place, "severity": "warning"},
        "exp_annotations": {
            "summary": "The export exports/movies on volume runs of team is old",
            "description": f"No job has exported there for 1d {-1 - max(made)}h 30m 0s; the limit is {hours} h "
            "(prometheusRule.exportStaleAfterHours).",
            "runbook": "docs/metrics.md#gmetaexportstale",
        },
    }
    series = [{"series": EXPORTED % f"job-{hour}", "values": f"{hour * HOUR}+0x1500"} for hour in made]
    asked = {"eval_time": "23h30m", "alertname": "GMetaExportStale", "exp_alerts": [alert] if fires else []}
    check_rules(helm, tmp_path, {"exportStaleAfterHours": hours}, series, asked)


@pytest.mark.parametrize(("limit", "fires"), [(0.5, True), (0.2, False)])
def test_a_job_that_loses_most_of_an_hour_is_told(helm: Helm, tmp_path: Path, limit: float, fires: bool) -> None:
    """Two operators tell of the same job, which loses 45 of 60 s to two causes; another one has ended."""
    growth = {"restart": "0+30x120", "input": "7+15x120"}
    series = [
        {"series": LOST.format(job="slow", cause=cause, instance=instance), "values": growth[cause]}
        for cause in growth
        for instance in "ab"
    ]
    series.append({"series": LOST.format(job="old", cause="restart", instance="a"), "values": "9000+0x120"})
    alert = {
        "exp_labels": {"namespace": "team", "job_name": "slow", "severity": "warning"},
        "exp_annotations": {
            "summary": "The job slow of team makes little progress",
            "description": f"75% of the last hour were lost; the limit is a goodput of {limit} "
            "(prometheusRule.goodputLowBelow).",
            "runbook": "docs/metrics.md#gmetagoodputlow",
        },
    }
    asked = {"eval_time": "110m", "alertname": "GMetaGoodputLow", "exp_alerts": [alert] if fires else []}
    check_rules(helm, tmp_path, {"goodputLowBelow": limit}, series, asked)


def test_every_alert_has_a_runbook_and_asks_for_what_is_served(helm: Helm) -> None:
    served = set(re.findall(r"^\| `(gmeta_\w+)` \|", DOCS, re.MULTILINE))
    headings = re.findall(r"^### (\w+)$", DOCS, re.MULTILINE)
    alerts = [rule for group in rule_of(helm)["spec"]["groups"] for rule in group["rules"]]
    assert [alert["alert"] for alert in alerts] == headings
    for alert in alerts:
        assert alert["annotations"]["runbook"] == f"docs/metrics.md#{alert['alert'].lower()}"
        assert alert["labels"]["severity"] in {"warning", "critical"}
        assert set(re.findall(r"gmeta_\w+", alert["expr"])) <= served


def test_there_is_no_rule_unless_it_is_asked_for(helm: Helm) -> None:
    kinds = {found["kind"] for found in helm.objects({})}
    assert "PrometheusRule" not in kinds
    assert rule_of(helm)["metadata"]["labels"]["release"] == "prometheus"
    assert json.dumps(rule_of(helm, exportStaleAfterHours=0.25)).count("0.25") == 2
