"""Guards against a check that has nothing to look at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def nonempty(items: Iterable[Item]) -> list[Item]:
    """The items as a list; an AssertionError where there are none, so that no loop passes idly.

    >>> nonempty(range(2))
    [0, 1]
    """
    listed = list(items)
    assert listed, "there is nothing to check"
    return listed
