"""The BentoML service, and the only place that knows BentoML: it hosts one application and opens what that answers from.

`lifecycle serve`, or `bentoml serve serving.api.service:Lifecycle`. BentoML gives workers, probes, time-outs and a bound on
concurrent requests; pages, strictness and metrics are ours (docs/decisions/014), because its own log and its metrics
hold paths and values as they were sent.
"""

from __future__ import annotations

import gc
import os

# Before BentoML and the libraries under it are imported: no telemetry, no spinning threads.
os.environ["BENTOML_DO_NOT_TRACK"] = "True"
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import bentoml

from features.core.settings import workers
from serving.api.middleware import RequestMiddleware

_open: list = []


def _desk():
    return _open[-1]


def _pages():
    from serving.api.routes import made

    return made(_desk)


@bentoml.asgi_app(_pages(), path="/")
@bentoml.service(
    workers=workers(),
    traffic={"timeout": 60, "max_concurrency": 256},
    metrics={"enabled": False},
    # It would take over a caller's trace ids and baggage, and its log would say them.
    tracing={"excluded_urls": "."},
    logging={"access": {"enabled": False}},
)
class Lifecycle:
    """Scores by id and by raw events, from the promoted release and the latest run."""

    def __init__(self) -> None:
        from serving.api.state import ServingState

        self.desk = ServingState.opened()
        _open.append(self.desk)
        self.desk.watch()
        # What was loaded stays; without this every collection walks through it, in the middle of a request.
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)

    @bentoml.on_shutdown
    def close(self) -> None:
        """End the watch."""
        self.desk.close()
        _open.remove(self.desk)


Lifecycle.add_asgi_middleware(RequestMiddleware)
