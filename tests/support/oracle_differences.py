"""The oracle's answer and the real one, side by side."""

from __future__ import annotations

import math

import pytest

from tests.support import oracle
from tests.support.oracle_worlds import World


def same(got, wanted) -> bool:
    if got is None or wanted is None or isinstance(wanted, str):
        return got == wanted
    return math.isclose(
        got, wanted, rel_tol=1e-9, abs_tol=1e-11
    )  # the floor: differences of instants since 1970


def refuse_differences(
    made: World, got: dict[str, oracle.Row], wanted: dict[str, oracle.Row]
) -> None:
    differ = [
        (
            who,
            column,
            got[who][column],
            value if isinstance(value, str) or value is None else float(value),
        )
        for who, row in sorted(wanted.items())
        for column, value in row.items()
        if column in got[who] and not same(got[who][column], value)
    ]
    if differ:
        told = "\n".join(
            f"{who} {column}: real {fast!r}, oracle {slow!r}"
            for who, column, fast, slow in differ[:20]
        )
        rows = {name: oracle.of(differ[0][0], made.tables, name) for name in made.tables}
        pytest.fail(f"{len(differ)} differ at as_of {made.as_of}\n{told}\n{made.settings}\n{rows}")
