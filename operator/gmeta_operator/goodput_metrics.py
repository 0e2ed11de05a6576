"""Goodput of each job as metrics, from the statuses at the moment of a scrape."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gmeta_operator.goodput import age, known_goodput, now_lost, ratio_of

LABELS = ["namespace", "job_name"]


class GoodputOfJobs(Collector):
    """Tells how much of each job's time was productive, and what the rest was lost to.

    Args:
        jobs: the jobs that are known.
        clock: the time.
    """

    def __init__(
        self,
        jobs: Callable[[], Iterable[Mapping[str, Any]]],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._jobs = jobs
        self._clock = clock

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Two gauges; a job whose status says nothing has no sample."""
        text = "Productive time of a job over its productive and lost time."
        ratio = GaugeMetricFamily("gmeta_job_goodput_ratio", text, labels=LABELS)
        text = "Seconds that a job has lost until now, by cause."
        lost = GaugeMetricFamily("gmeta_job_lost_seconds", text, labels=[*LABELS, "cause"])
        for job in self._jobs():
            self._add(job, ratio, lost)
        yield ratio
        yield lost

    def _add(self, job: Mapping[str, Any], ratio: GaugeMetricFamily, lost: GaugeMetricFamily) -> None:
        status = job.get("status", {})
        if "goodput" not in status:
            return
        name = [job["metadata"]["namespace"], job["metadata"]["name"]]
        known = known_goodput(status)
        seconds = now_lost(known, age(job, self._clock()))
        share = ratio_of(known.productive_seconds, seconds)
        if share is not None:
            ratio.add_metric(name, share)
        for cause, value in seconds.items():
            lost.add_metric([*name, cause], value)
