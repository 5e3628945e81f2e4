"""How a command ends: every refusal with its exit code, and no traceback before a user's eyes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from features.core.errors import Interrupted, LifecycleError, StoreFailed, for_owner

EXTRAS = {
    "mlflow": "train",
    "optuna": "train",
    "sklearn": "train",
    "matplotlib": "train",
    "bentoml": "serve",
}
INTERRUPTED = 130  # what the command line's library makes of an interrupt


def guarded(run: Callable[[], object]) -> None:
    """Run a command line; whatever it raises becomes words on standard error and an exit code."""
    came = _interrupts()
    try:
        run()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            _leave()
        raise
    except KeyboardInterrupt:
        _leave()
    except Exception as error:
        if came.is_set():  # an engine at work makes an error of its own of an interrupt
            _leave()
        _refuse(error)


def _interrupts() -> threading.Event:
    """Set once an interrupt came; where interrupts are ignored, as behind nohup, or handled by a host, they stay so."""
    came = threading.Event()

    def note(*_: object) -> None:
        came.set()
        raise KeyboardInterrupt

    mine = threading.current_thread() is threading.main_thread()
    if mine and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, note)
    return came


def _refuse(error: Exception) -> NoReturn:
    if isinstance(error, LifecycleError):
        _end(for_owner(error), error.exit_code)
    if isinstance(error, OSError):
        _end(
            f"error in the file system\n  got:  {error.strerror or type(error).__name__}",
            StoreFailed.exit_code,
        )
    if os.environ.get("LIFECYCLE_LOG") == "debug":
        raise error
    if isinstance(error, ModuleNotFoundError) and (
        extra := EXTRAS.get((error.name or "").split(".")[0])
    ):
        _end(
            f"error in the installation\n  got:  no {error.name}\n  rule: This command needs the extra '{extra}'.\n"
            f"  do:   pip install 'customer-lifecycle[{extra}]'",
            2,
        )
    _end(
        f"an error of ours: {type(error).__name__}. LIFECYCLE_LOG=debug shows where; please report it",
        1,
    )


def _end(words: str, code: int) -> NoReturn:
    print(words, file=sys.stderr)
    sys.exit(code)


def _leave() -> NoReturn:
    """End after an interrupt, at once: an engine's threads may be at work still, and Python's own way out waits for them."""
    with contextlib.suppress(ValueError):  # not the main thread, where no interrupt arrives
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would only cut the words short
    print("interrupted; nothing half-written is used, run it again", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(Interrupted.exit_code)
