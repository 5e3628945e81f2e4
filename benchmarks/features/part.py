"""One part in a process of its own: what a spawned child can import."""

from __future__ import annotations

import importlib
from typing import Any


def measure(name: str, answer: Any) -> None:
    """Run the part's `measured` and send its figures and its words through the pipe."""
    part = importlib.import_module(f"benchmarks.features.{name}")
    found = part.measured()
    answer.send((part.figures(found), part.text(found)))
