"""Fits that were done in this training are not done again.

The search, the evaluation and the refit ask for some of the same fits: the same rows, settings and
seed. A fit is remembered by a digest of everything that it depends on, for the length of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from training.models import studies

Fitted = TypeVar("Fitted")
_FITS: ContextVar[dict[str, Any] | None] = ContextVar("fits", default=None)


@contextmanager
def remember_fits() -> Iterator[None]:
    """Within the block no fit is done twice, in any thread that the block starts."""
    token = _FITS.set({})
    try:
        yield
    finally:
        _FITS.reset(token)


def recall(depends_on: list[object]) -> Any | None:
    """What was remembered for equal `depends_on`; None where nothing was."""
    fits = _FITS.get()
    return fits.get(studies.digest(depends_on)) if fits else None


def remembered(depends_on: list[object], fit: Callable[[], Fitted]) -> Fitted:
    """`fit()`, or what it gave before for equal `depends_on` (arrays and JSON values)."""
    fits = _FITS.get()
    if fits is None:
        return fit()
    key = studies.digest(depends_on)
    if key not in fits:
        fits[key] = fit()
    fitted: Fitted = fits[key]
    return fitted
