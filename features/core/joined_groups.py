"""Groups of names that are joined, directly or by way of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations


def joined_groups(names: Sequence[str], are_joined: Callable[[str, str], bool]) -> list[set[str]]:
    """Each name in one group; `are_joined` is asked once for every pair.

    >>> [sorted(each) for each in joined_groups("abc", lambda one, other: one + other == "ac")]
    [['b'], ['a', 'c']]
    """
    groups = [{name} for name in names]
    for one, other in combinations(names, 2):
        if are_joined(one, other):
            touched = [group for group in groups if {one, other} & group]
            groups = [group for group in groups if group not in touched]
            groups.append(set().union(*touched))
    return groups
