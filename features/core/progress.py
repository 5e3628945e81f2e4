"""Progress with a time left on long steps; quiet when nobody watches."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def steps(items: Iterable[Item], *, label: str, total: int | None = None) -> Iterator[Item]:
    """The items, with a bar and a time left on standard error if that is a terminal; one bar at a time, the main thread's."""
    if not sys.stderr.isatty() or threading.current_thread() is not threading.main_thread():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(
        items, description=label, total=total, console=Console(stderr=True), transient=True
    )


def say(text: str) -> None:
    """One line about what is being done, for whoever watches the terminal."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)
