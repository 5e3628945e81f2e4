"""BentoML as it comes, with an answer made before: what our guard and our look-up are measured against.

A module of its own: nothing of ours is imported that its collector would have to walk through.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import bentoml

FILE = "echo.json"


def answer() -> dict[str, Any]:
    """What the echoes say: an answer of ours that the benchmark wrote down."""
    return json.loads((Path(os.environ.get("LIFECYCLE_HOME") or ".") / FILE).read_text())


@bentoml.service(workers=1)
class Echo:
    def __init__(self) -> None:
        self.answer = answer()

    @bentoml.api
    async def score(self, customer_ids: list[str]) -> dict[str, Any]:
        return self.answer
