"""What every part of an opened business stands on: its settings, its data, one call at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from features.core.settings import Settings
from features.tables.history import History
from features.tables.sources import RowCounts
from lifecycle.arguments import read_instants

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")
Part = TypeVar("Part", bound="Opened")


def one_at_a_time(
    method: Callable[Concatenate[Part, Arguments], Answer],
) -> Callable[Concatenate[Part, Arguments], Answer]:
    """Calls from several threads wait for each other: one engine reads the tables."""

    @wraps(method)
    def locked(self: Part, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        with self._lock:
            return method(self, *args, **kwargs)

    return locked


class Opened:
    """A business as of the data that its configuration names."""

    def __init__(self, settings: Settings, history: History, counts: dict[str, RowCounts]) -> None:
        self.settings = settings
        self.history = history
        self._counts = counts
        self._lock = threading.RLock()

    def _instants(self, as_of: Any) -> list[int]:
        return read_instants(as_of, zone=self.settings.zone)
