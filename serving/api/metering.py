"""Counts of requests: route, status, seconds, broken rule. Never an id, a value or a raw path."""

from __future__ import annotations

import collections
import os
import re
import time
from collections.abc import Iterable
from typing import Any

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_DIGITS = re.compile(r"\d+")

GAUGES = {
    "problem": "1 where a newer run or release cannot be loaded and the former is served.",
    "release_rows": "Rows that the served release learned from.",
    "run_age_seconds": "Seconds since the as_of of the latest run.",
    "run_customers": "Customers of the latest run.",
}


class Meters:
    """Counters of one process; with several workers `render` adds up all of them."""

    def __init__(self) -> None:
        # Imported here: in a worker, prometheus_client learns where the counters live only after
        # the service module was imported.
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self._registry = CollectorRegistry()
        within: dict[str, Any] = {"registry": self._registry}
        self.requests = Counter(
            "lifecycle_requests", "Answered requests.", ["route", "status"], **within
        )
        self.seconds = Histogram(
            "lifecycle_request_seconds", "Time to answer.", ["route"], buckets=BUCKETS, **within
        )
        self.refused = Counter(
            "lifecycle_refused", "Refused requests, by rule.", ["error"], **within
        )
        self.customers = Counter(
            "lifecycle_customers", "Customers in answers, by kind of request.", ["kind"], **within
        )

        self.warnings = Counter(
            "lifecycle_warnings", "Warnings of entries in answers, by kind.", ["kind"], **within
        )

    def count_warnings(self, warnings: Iterable[str]) -> None:
        """Count warnings by kind: what stands before the colon, numbers as n."""
        for warning, count in collections.Counter(warnings).items():
            self.warnings.labels(warning_kind(warning)).inc(count)

    def render(self, gauges: dict[str, float]) -> bytes:
        """The counters and the current values of `gauges` (of GAUGES), as Prometheus text."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        counters = self._registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            counters = CollectorRegistry()
            MultiProcessCollector(counters)
        # As text: prometheus_client would store a gauge for every worker and show it twice.
        lines = [
            f"# HELP lifecycle_{name} {GAUGES[name]}\n# TYPE lifecycle_{name} gauge\n"
            f"lifecycle_{name} {float(value)!r}\n"
            for name, value in gauges.items()
        ]
        return generate_latest(counters) + "".join(lines).encode()


def warning_kind(warning: str) -> str:
    """The kind of a warning, of which there are few: without counts, days, tables and levels.

    >>> warning_kind("population_is_5_days_old"), warning_kind("without:feedback")
    ('population_is_n_days_old', 'without')
    """
    return _DIGITS.sub("n", warning.partition(":")[0])


def age_seconds(as_of_us: int) -> float:
    """Seconds since an instant (µs UTC), by the machine's clock."""
    return max(0.0, time.time() - as_of_us / 1_000_000)
