"""The BentoML service, and the only module that knows BentoML: it hosts one application.

`lifecycle serve`, or `bentoml serve serving.api.service:Lifecycle`. BentoML gives workers, probes,
time-outs and a limit of concurrent requests. Pages, strictness and metrics are our own
(docs/decisions/014), because BentoML's log and metrics contain raw paths and values.
"""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

# Before BentoML and the libraries below it are imported: no telemetry, no busy-waiting threads,
# and Arrow gives memory back (features.core.freed_memory).
os.environ["BENTOML_DO_NOT_TRACK"] = "True"
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

import bentoml

from features.core.freed_memory import return_freed_memory
from features.core.settings import workers
from serving.api.middleware import RequestMiddleware

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from serving.api.state import ServingState

return_freed_memory()

open_states: list[ServingState] = []


def current_state() -> ServingState:
    """What this process serves; IndexError before the service has started."""
    return open_states[-1]


def _application() -> Starlette:
    from serving.api.routes import make_app

    return make_app(current_state)


@bentoml.asgi_app(_application(), path="/")
@bentoml.service(
    workers=workers(),
    traffic={"timeout": 60, "max_concurrency": 256},
    metrics={"enabled": False},
    # Tracing would take over a caller's trace ids and baggage, and log them.
    tracing={"excluded_urls": "."},
    logging={"access": {"enabled": False}},
)
class Lifecycle:
    """Scores by id and by raw events, from the promoted release and the latest run."""

    def __init__(self) -> None:
        from serving.api.state import ServingState

        self.state = ServingState.load()
        open_states.append(self.state)
        self.state.watch()
        # What was loaded stays in memory. Without this, every collection would walk through it,
        # in the middle of a request.
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)

    @bentoml.on_shutdown
    def close(self) -> None:
        """Stop watching the pointers."""
        self.state.close()
        open_states.remove(self.state)


# The decorators return BentoML's Service, which type checkers do not see.
Lifecycle.add_asgi_middleware(RequestMiddleware)  # type: ignore[attr-defined]  # see above
