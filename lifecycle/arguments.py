"""What callers of the Python API pass, read as what it must be; anything else is one sentence."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.core.errors import BadSetting
from features.core.instants import instant

AsOf = str | date | datetime | np.datetime64
_RULE = "as_of is a date, a datetime or a text like 2024-06-01, or several of them."
_FIX = 'Write as_of="2024-06-01", or a list of such instants.'


def read_instants(as_of: Any, *, zone: str) -> list[int]:
    """One instant or several (a list, array, Series or index of them) in µs UTC, in their order.

    A date means local midnight in `zone`, and a time without a zone is local there. BadSetting for
    none, for a missing value and for anything else.

    >>> read_instants(["1970-01-02", "1970-01-03"], zone="UTC")
    [86400000000, 172800000000]
    """
    single = isinstance(as_of, str | date | np.datetime64)
    if not single and not isinstance(as_of, Iterable):
        raise _refused(f"a {type(as_of).__name__}")
    given = [as_of] if single else list(as_of)
    if not given:
        raise _refused("no instant")
    return [_read_instant(value, zone) for value in given]


def _read_instant(value: Any, zone: str) -> int:
    if not isinstance(value, str | date | np.datetime64):
        raise _refused(f"a {type(value).__name__}")
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if pd.isna(value):
        raise _refused("a missing instant")
    return instant(value, zone=zone)


def read_path(value: Any, *, where: str) -> Path:
    """A path from text or a Path; BadSetting for anything else."""
    if isinstance(value, str | Path):
        return Path(value)
    raise BadSetting(
        where=where,
        got=f"a {type(value).__name__}",
        rule="It is a path, as text or as a Path.",
        fix='Write it like "lifecycle.toml".',
    )


def _refused(got: str) -> BadSetting:
    return BadSetting(where="as_of", got=got, rule=_RULE, fix=_FIX)
