"""Two independent pieces of work side by side on two cores; who is no longer waited for stops at the next look."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TypeVar

One, Other = TypeVar("One"), TypeVar("Other")
_GIVEN_UP: ContextVar[threading.Event | None] = ContextVar("given_up", default=None)
_CALM: ContextVar[bool] = ContextVar("calm", default=False)


class GivenUp(Exception):
    """Nobody waits for this work any more: the one beside it failed, or was interrupted."""


def both(one: Callable[[], One], other: Callable[[], Other]) -> tuple[One, Other]:
    """(one(), other()), the second in a thread of its own where there are two cores. The first's error comes first.

    Neither may depend on the other: the answers are those of one after the other, bit for bit.
    """
    with calm():
        if (os.cpu_count() or 1) < 2:
            return one(), other()
        given_up = threading.Event()
        context = copy_context()
        context.run(_GIVEN_UP.set, given_up)
        with ThreadPoolExecutor(1) as beside:
            coming = beside.submit(context.run, other)
            try:
                mine = one()
            except BaseException:
                given_up.set()
                raise
            return mine, coming.result()


@contextmanager
def calm() -> Iterator[None]:
    """Linear algebra on one thread, solvers' warnings unsaid. Both are the whole process's: set once, around all threads."""
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    if _CALM.get():
        yield
        return
    before = _CALM.set(True)
    try:
        # One thread: BLAS adds in another order with another number of them, and the last bits would follow the machine.
        with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
            # A singular Hessian makes the solver fall back to lbfgs: slower, and still the same optimum.
            warnings.simplefilter("ignore", category=ConvergenceWarning)
            warnings.filterwarnings("ignore", message=".*(Hessian|line search|ill-conditioned|Ill-conditioned).*")
            yield
    finally:
        _CALM.reset(before)


def look() -> None:
    """GivenUp where this thread's work is not waited for; cheap, for long work to call now and then."""
    given_up = _GIVEN_UP.get()
    if given_up is not None and given_up.is_set():
        raise GivenUp
