"""Two independent tasks in parallel. If one fails, the other stops at its next check."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TypeVar

from features.core.blas_threads import single_threaded_blas

One = TypeVar("One")
Other = TypeVar("Other")
_CANCEL_EVENT: ContextVar[threading.Event | None] = ContextVar("cancel_event", default=None)
_REPRODUCIBLE: ContextVar[bool] = ContextVar("reproducible", default=False)

# Seconds that a failed task waits for the other one. The wait is bounded because an interrupt
# during an import can leave Python's import lock held, and the other thread then never ends.
CANCEL_WAIT_SECONDS = 15.0


class Cancelled(Exception):
    """The result of this task is not needed any more: the other task failed or was interrupted."""


def run_in_parallel(one: Callable[[], One], other: Callable[[], Other]) -> tuple[One, Other]:
    """(one(), other()); the second runs in its own thread where there are two cores.

    An error of either ends both. Neither may depend on the other: the results are bit for bit
    those of running one after the other.
    """
    with reproducible_fits():
        if (os.cpu_count() or 1) < 2:
            return one(), other()
        return _run_in_two_threads(one, other)


def _run_in_two_threads(one: Callable[[], One], other: Callable[[], Other]) -> tuple[One, Other]:
    cancel = threading.Event()
    token = _CANCEL_EVENT.set(cancel)
    pool = ThreadPoolExecutor(1)
    future = pool.submit(copy_context().run, _cancel_on_error, other, cancel)
    try:
        return _cancel_on_error(one, cancel), future.result()
    except Cancelled:
        # The first task was cancelled by the second: the second one's error is the cause.
        raise future.exception() or Cancelled() from None
    except BaseException:  # also an interrupt while only the second task still works
        cancel.set()
        wait([future], timeout=CANCEL_WAIT_SECONDS)
        raise
    finally:
        pool.shutdown(wait=False)
        _CANCEL_EVENT.reset(token)


def _cancel_on_error(work: Callable[[], One], cancel: threading.Event) -> One:
    """The result of `work`; if it fails, the other task is told to stop."""
    try:
        return work()
    except BaseException:
        cancel.set()
        raise


def map_in_threads(work: Callable[[One], Other], items: Sequence[One]) -> list[Other]:
    """`work` of each item, in their order, in as many threads as there are cores.

    Each item's work must not depend on the others': the results are bit for bit those of a loop.
    """
    threads = min(len(items), os.cpu_count() or 1)
    if threads < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        tasks = [pool.submit(copy_context().run, work, item) for item in items]
        try:
            return [task.result() for task in tasks]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def reproducible_fits() -> Iterator[None]:
    """Linear algebra on one thread, and no warnings of the solvers.

    Both settings are global to the process, so they are set once, around all threads.
    """
    from scipy.linalg import LinAlgWarning
    from sklearn.exceptions import ConvergenceWarning

    if _REPRODUCIBLE.get():
        yield
        return
    token = _REPRODUCIBLE.set(True)
    try:
        with warnings.catch_warnings(), single_threaded_blas():
            # With a singular Hessian the solver falls back to lbfgs: slower, but the same optimum.
            # It notices this by an error made of the warning. The other thread can remove the
            # solver's own filters, so they are set here too.
            warnings.simplefilter("error", category=LinAlgWarning)
            warnings.simplefilter("ignore", category=ConvergenceWarning)
            warnings.filterwarnings("ignore", message=".*(Hessian|line search).*")
            yield
    finally:
        _REPRODUCIBLE.reset(token)


def check_cancelled() -> None:
    """Cancelled if the result of this thread's work is not needed any more.

    Cheap; long work calls it now and then.
    """
    cancel = _CANCEL_EVENT.get()
    if cancel is not None and cancel.is_set():
        raise Cancelled
