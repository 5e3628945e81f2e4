"""BentoML with its defaults and a constant answer: the opponent of our middleware and look-up.

It is a module of its own, so that none of our imports burden its garbage collector.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import bentoml

FILE = "echo.json"


def answer() -> dict[str, Any]:
    """The constant answer of the echoes: an answer of ours that the benchmark stored."""
    return json.loads((Path(os.environ.get("LIFECYCLE_HOME") or ".") / FILE).read_text())


@bentoml.service(workers=1)
class Echo:
    def __init__(self) -> None:
        self.answer = answer()

    @bentoml.api
    async def score(self, customer_ids: list[str]) -> dict[str, Any]:
        return self.answer
