"""Two independent pieces of work side by side on two cores; who is no longer waited for stops at the next look."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TypeVar

One, Other = TypeVar("One"), TypeVar("Other")
_GIVEN_UP: ContextVar[threading.Event | None] = ContextVar("given_up", default=None)
_CALM: ContextVar[bool] = ContextVar("calm", default=False)

# Seconds an ended work waits for the one beside it. An interrupt in the midst of an import can leave Python's import
# lock behind, and the other thread then waits for it for good.
LOOKS_WITHIN = 15.0


class Cancelled(Exception):
    """Nobody waits for this work any more: the one beside it failed, or was interrupted."""


def run_in_parallel(one: Callable[[], One], other: Callable[[], Other]) -> tuple[One, Other]:
    """(one(), other()), the second in a thread of its own where there are two cores; an error of either ends both.

    Neither may depend on the other: the answers are those of one after the other, bit for bit.
    """
    with single_threaded_blas():
        if (os.cpu_count() or 1) < 2:
            return one(), other()
        given_up = threading.Event()
        before = _GIVEN_UP.set(given_up)
        beside = ThreadPoolExecutor(1)
        coming = beside.submit(copy_context().run, _or_give_up, other, given_up)
        try:
            return _or_give_up(one, given_up), coming.result()
        except Cancelled:
            raise coming.exception() or Cancelled() from None
        except BaseException:  # also an interrupt while only the other is still at work
            given_up.set()
            wait([coming], timeout=LOOKS_WITHIN)
            raise
        finally:
            beside.shutdown(wait=False)
            _GIVEN_UP.reset(before)


def _or_give_up(work: Callable[[], One], given_up: threading.Event) -> One:
    """What `work` answers; where it fails, whoever works beside it need not go on."""
    try:
        return work()
    except BaseException:
        given_up.set()
        raise


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Linear algebra on one thread, solvers' warnings unsaid. Both are the whole process's: set once, around all threads."""
    from scipy.linalg import LinAlgWarning
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    if _CALM.get():
        yield
        return
    before = _CALM.set(True)
    try:
        # One thread: BLAS adds in another order with another number of them, and the last bits would follow the machine.
        with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
            # A singular Hessian makes the solver fall back to lbfgs: slower, and still the same optimum. It notices by
            # an error made of the warning; the other thread may take its filters away, so they are set out here too.
            warnings.simplefilter("error", category=LinAlgWarning)
            warnings.simplefilter("ignore", category=ConvergenceWarning)
            warnings.filterwarnings("ignore", message=".*(Hessian|line search).*")
            yield
    finally:
        _CALM.reset(before)


def check_cancelled() -> None:
    """GivenUp where this thread's work is not waited for; cheap, for long work to call now and then."""
    given_up = _GIVEN_UP.get()
    if given_up is not None and given_up.is_set():
        raise Cancelled
