"""Variants of one promise: the first few in every run, the others in `make test-long`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

LONG = (pytest.mark.slow, pytest.mark.long)


def first_quick(values: Iterable[Any], *, quick: int) -> list[Any]:
    """The values for `parametrize`; those after the first `quick` are left to `make test-long`."""
    return [
        value if at < quick else pytest.param(value, marks=LONG) for at, value in enumerate(values)
    ]
