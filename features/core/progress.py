"""Progress on standard error: a bar on a terminal, plain lines elsewhere, nothing when quiet.

The command line calls `set_quiet` once. Without that call (a notebook, a library, a test) nothing
is printed unless standard error is a terminal.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TextIO, TypeVar

from features.core.language import say

Item = TypeVar("Item")

LINE_EVERY_S = 30.0

# Set when an interrupt has arrived. Python drops the exception of an interrupt that comes within a
# finaliser or a callback of its own, so every step of progress looks here.
INTERRUPTED = threading.Event()
# None: nobody has decided, so only a terminal sees progress.
_quiet: bool | None = None
_last_line_at: dict[str, float] = {}


def set_quiet(quiet: bool | None) -> None:
    """Switch progress off (True), on everywhere (False), or on for terminals only (None)."""
    global _quiet
    _quiet = quiet
    _last_line_at.clear()


def stop_if_interrupted() -> None:
    """KeyboardInterrupt where an interrupt has arrived before."""
    if INTERRUPTED.is_set():
        raise KeyboardInterrupt


def print_status(text: str) -> None:
    """Print one line about a phase of the work."""
    stop_if_interrupted()
    if _prints_lines():
        _print(text)


def print_step(label: str, text: str) -> None:
    """Print `label: text` about one step of a long phase.

    A terminal sees every step; elsewhere at most one line per label in LINE_EVERY_S seconds,
    because a log file keeps them all.
    """
    stop_if_interrupted()
    if not _prints_lines():
        return
    now = time.monotonic()
    if _on_terminal() or now - _last_line_at.get(label, -LINE_EVERY_S) >= LINE_EVERY_S:
        _last_line_at[label] = now
        _print(say("{label}: {text}", label=label, text=text))


def track_steps(items: Iterable[Item], *, label: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items and show how many are done.

    A bar with the time left on a terminal; only of the main thread, because two bars would
    overwrite each other. Elsewhere one line at the beginning and one every LINE_EVERY_S seconds.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if not _prints_lines():
        yield from items
    elif not _on_terminal():
        yield from _with_lines(items, label, total)
    elif threading.current_thread() is threading.main_thread():
        yield from _with_bar(items, label, total)
    else:
        yield from items


def _prints_lines() -> bool:
    return _on_terminal() if _quiet is None else not _quiet


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person sits behind the stream; a closed one is None."""
    return stream is not None and stream.isatty()


def _on_terminal() -> bool:
    return is_terminal(sys.stderr)


def _print(text: str) -> None:
    if sys.stderr is None:  # closed by the caller
        return
    # One write per line: threads that print at the same time do not mix their lines.
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _with_bar(items: Iterable[Item], label: str, total: int | None) -> Iterator[Item]:
    # Imported here because scoring and the service never draw a bar.
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(items, description=label, total=total, console=console, transient=True)


def _with_lines(items: Iterable[Item], label: str, total: int | None) -> Iterator[Item]:
    _print(label if total is None else say("{label}: {total:,} to do", label=label, total=total))
    began = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - last >= LINE_EVERY_S:
            last = now
            _print(_done_line(label, done, total, now - began))
        yield item


def _done_line(label: str, done: int, total: int | None, seconds: float) -> str:
    if total is None:
        return say(
            "{label}: {done:,} done after {seconds:.0f} s", label=label, done=done, seconds=seconds
        )
    return say(
        "{label}: {done:,} of {total:,} done after {seconds:.0f} s",
        label=label,
        done=done,
        total=total,
        seconds=seconds,
    )
