"""Services for comparison only: BentoML endpoints with as little work as possible.

They have the settings of our service (no log, no metrics, no tracing, a garbage collector at rest)
and declare their answer as JSON. `LeanEcho` returns a constant answer; `Ready` applies the Scorer
to ready rows.
"""

from __future__ import annotations

import gc
from typing import Annotated, Any

import bentoml
import pyarrow as pa
import uvicorn.config
from bentoml.validators import ContentType

from benchmarks.serving.echo import answer
from serving.api.service import Lifecycle

# The service has brought its own connections; what it is compared with has uvicorn's.
uvicorn.config.HTTP_PROTOCOLS["auto"] = "uvicorn.protocols.http.auto:AutoHTTPProtocol"

# Without it BentoML computes the schema again for every answer.
Json = Annotated[dict[str, Any], ContentType("application/json")]


def _settled() -> None:
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@bentoml.service(**Lifecycle.config)
class LeanEcho:
    def __init__(self) -> None:
        self.answer = answer()
        _settled()

    @bentoml.api
    async def score(self, customer_ids: list[str]) -> Json:
        return self.answer


@bentoml.service(**Lifecycle.config)
class Ready:
    """Ready feature rows, one list for each column, null where null; returns p_churn and p_next."""

    def __init__(self) -> None:
        from serving.release import release

        self.scorer = release.load_release(release.current_release_folder()).scorer
        self.schema = pa.schema(columns(self.scorer))
        _settled()

    @bentoml.api
    async def score(self, inputs: dict[str, list[Any]]) -> Json:
        p, p_next = self.scorer.score(pa.Table.from_pydict(inputs, schema=self.schema))
        return {"p_churn": p.tolist(), "p_next": p_next.tolist()}


def columns(scorer: Any) -> list[tuple[str, pa.DataType]]:
    """The columns that the Scorer needs: the current state, and the features."""
    stages = ["stage", "stage_if_inactive"] + ["stage_idle"] * scorer.definitions.contractual
    numbers = ["as_of", "n", "first_at", "last_at"]
    state = [(name, pa.string()) for name in stages] + [(name, pa.int64()) for name in numbers]
    return [*state, *((name, pa.float64()) for name in scorer.columns)]
