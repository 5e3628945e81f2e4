"""How a command ends: each error becomes a message on standard error and an exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from features.core import progress
from features.core.errors import Interrupted, LifecycleError, StoreFailed, owner_text

EXTRA_OF_LIBRARY = {
    "mlflow": "train",
    "optuna": "train",
    "sklearn": "train",
    "matplotlib": "train",
    "bentoml": "serve",
    "pyspark": "spark",
}
INTERNAL_ERROR, EXTRA_MISSING = 1, 2
OUT_OF_MEMORY = (
    "error in [engine] memory\n  got:  a query that needs more\n"
    "  rule: The query engine stays below [engine] memory.\n"
    '  do:   Write more there, such as memory = "8GB". The engine takes about '
    "256MB for a business of any size; with a kept history `features` and `score` need "
    "less than all rows take."
)
# Typer turns an interrupt into this exit code; ours is Interrupted.exit_code.
_TYPER_INTERRUPTED = 130


def run_command(run: Callable[[], object]) -> None:
    """Run a command line. Every exception becomes a message on standard error and an exit code.

    An interrupt ends the process at once. With LIFECYCLE_LOG=debug an internal error is raised.
    """
    interrupted = _watch_interrupts()
    try:
        run()
    except SystemExit as end:
        if end.code == _TYPER_INTERRUPTED:
            _exit_interrupted()
        raise
    except KeyboardInterrupt:
        _exit_interrupted()
    except Exception as error:
        # DuckDB turns an interrupt during a query into an error of its own.
        if interrupted.is_set():
            _exit_interrupted()
        _exit_with_error(error)


def _watch_interrupts() -> threading.Event:
    """An event that is set when an interrupt arrives.

    Where interrupts are ignored (as behind nohup) or handled by a host program, nothing changes.
    """
    interrupted = progress.INTERRUPTED
    interrupted.clear()

    def note_interrupt(*_: object) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, note_interrupt)
    return interrupted


def _exit_with_error(error: Exception) -> NoReturn:
    if isinstance(error, LifecycleError):
        _exit(owner_text(error), error.exit_code)
    if isinstance(error, OSError):
        reason = error.strerror or type(error).__name__
        _exit(f"error in the file system\n  got:  {reason}", StoreFailed.exit_code)
    if os.environ.get("LIFECYCLE_LOG") == "debug":
        raise error
    if isinstance(error, ModuleNotFoundError):
        extra = EXTRA_OF_LIBRARY.get((error.name or "").split(".")[0])
        if extra:
            _exit(_missing_extra(error.name, extra), EXTRA_MISSING)
    if type(error).__name__ == "OutOfMemoryException":  # DuckDB's, which --help does not load
        _exit(OUT_OF_MEMORY, StoreFailed.exit_code)
    # Only the type is shown: the message of an unknown error may quote customer data.
    _exit(
        f"internal error: {type(error).__name__}. Run it again with LIFECYCLE_LOG=debug to see "
        "where it happened, and report it",
        INTERNAL_ERROR,
    )


def _missing_extra(library: str | None, extra: str) -> str:
    return (
        f"error in the installation\n  got:  no {library}\n"
        f"  rule: This command needs the extra '{extra}'.\n"
        f"  do:   pip install 'customer-lifecycle[{extra}]'"
    )


def _exit(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(code)


def _exit_interrupted() -> NoReturn:
    """End at once: a normal exit would wait for DuckDB threads that may still be working."""
    with contextlib.suppress(ValueError):  # not the main thread, where no interrupt arrives
        # A second interrupt would only cut the message short.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("interrupted; nothing half-written is used, run it again", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(Interrupted.exit_code)
