"""The BentoML service: it hosts one application. Only `control_sockets` knows BentoML besides.

`lifecycle serve`, or `bentoml serve serving.api.service:Lifecycle`. BentoML gives the application,
its probes and time-outs, and containers. Pages, strictness, bounds and metrics are our own
(docs/decisions/014), because BentoML's log and metrics contain raw paths and values; so is the
supervision of workers (docs/decisions/026), because BentoML's takes commands from everybody.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path
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
from serving.api.connections import limit_connections, listen_with_deadlines
from serving.api.control_sockets import close_control_ports
from serving.api.middleware import RequestMiddleware

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from serving.api.state import ServingState

return_freed_memory()
close_control_ports()
listen_with_deadlines()

open_states: list[ServingState] = []
preloaded: list[ServingState] = []


def current_state() -> ServingState:
    """What this process serves; IndexError before the service has started."""
    return open_states[-1]


def preload(marks: Path | None = None) -> None:
    """Load what will be served before a server starts, so that its refusal can be told plainly.

    `marks`: where the workers of one service note which releases were verified. ReleaseRefused
    where nothing was promoted or a file was altered.
    """
    from serving.api.state import ServingState

    preloaded.append(ServingState.load(marks))


def _application() -> Starlette:
    from serving.api.routes import make_app

    return make_app(current_state)


@bentoml.asgi_app(_application(), path="/")
@bentoml.service(
    workers=workers(),
    # No bound of concurrent requests: BentoML's would count them before their key is checked
    # (serving.api.admission has ours).
    traffic={"timeout": 120},
    metrics={"enabled": False},
    # Tracing would take over a caller's trace ids and baggage, and log them.
    tracing={"excluded_urls": "."},
    logging={"access": {"enabled": False}},
)
class Lifecycle:
    """Scores by id and by raw events, from the promoted release and the latest run."""

    def __init__(self) -> None:
        from serving.api.state import ServingState

        limit_connections()
        self.state = preloaded.pop() if preloaded else ServingState.load()
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
