"""Linear algebra on one thread: equal bits on every machine, and no waiting on small matrices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LIMITED: ContextVar[bool] = ContextVar("blas_limited", default=False)


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Linear algebra (BLAS) on one thread within the block; blocks may be nested.

    With another number of threads BLAS adds in another order, and the last bits of a result would
    depend on the machine. On the matrices of a few parameters that our fits use, more threads only
    wait for each other: a fit of BG/NBD then takes seven times as long. The limit is global to the
    process, so it is set once, around all threads of the work.
    """
    from threadpoolctl import threadpool_limits

    if _LIMITED.get():
        yield
        return
    token = _LIMITED.set(True)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        _LIMITED.reset(token)
