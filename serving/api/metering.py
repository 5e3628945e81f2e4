"""What is counted about requests: route, status, seconds, rule broken. Never an id, a value or a path as it was sent."""

from __future__ import annotations

import os
import time
from typing import Any

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Meters:
    """Counters of one process; with several workers `text` adds up all of them."""

    def __init__(self) -> None:
        # Imported only now: in a worker, where the counters live is known after the service module was imported.
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
            "lifecycle_refused", "Requests refused, by rule.", ["error"], **within
        )
        self.customers = Counter(
            "lifecycle_customers", "Customers answered for.", ["asked"], **within
        )

    def text(self, standing: dict[str, float]) -> bytes:
        """Prometheus' text format; `standing` are values of this moment, name to number."""
        from prometheus_client import CollectorRegistry, Gauge, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        shared, moment = self._registry, CollectorRegistry()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            shared = CollectorRegistry()
            MultiProcessCollector(shared)
        for name, value in standing.items():
            Gauge(f"lifecycle_{name}", name.replace("_", " "), registry=moment).set(value)
        return generate_latest(shared) + generate_latest(moment)


def age_seconds(as_of_us: int) -> float:
    """How long ago an instant was, by the machine's clock (a door's reading)."""
    return max(0.0, time.time() - as_of_us / 1_000_000)
