"""Frames in and out: Arrow inside; pandas, polars or Arrow outside, instants as datetimes."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import narwhals as nw
import pyarrow as pa
from narwhals.exceptions import DuplicateError

from features.core.errors import BadSetting, WrongType
from serving.batch.writers import with_datetimes

Frames = Literal["pandas", "arrow", "polars"]
KINDS = ("pandas", "arrow", "polars")


def to_frame(table: pa.Table, frames: str) -> Any:
    """The table as the caller wants it: a pandas or polars frame, or the Arrow table.

    Integer instants become timestamps (UTC). In pandas a null number is NaN.
    BadSetting for another kind of frame, or where polars is not installed.
    """
    if frames not in KINDS:
        raise BadSetting(
            where="frames",
            got="an unknown kind of frame",
            rule=f"It is {', '.join(KINDS)}.",
            fix='Write frames="pandas".',
            values=[frames],
        )
    table = with_datetimes(table)
    if frames == "arrow":
        return table
    if frames == "pandas":
        return table.to_pandas()
    try:
        import polars
    except ModuleNotFoundError as error:
        raise BadSetting(
            where="frames",
            got="polars, which is not installed",
            rule="A frame needs its library.",
            fix="Type: pip install polars",
        ) from error
    return polars.from_arrow(table)


def from_frame(frame: Any) -> pa.Table:
    """The Arrow table of a pandas, polars or Arrow frame; WrongType for anything else."""
    try:
        with warnings.catch_warnings():
            # pandas announces a change of its own inside the conversion of zoned instants.
            warnings.simplefilter("ignore")
            return nw.from_native(frame, eager_only=True).to_arrow()
    except DuplicateError as error:
        raise WrongType(
            where="the frame",
            got="two columns of one name",
            rule="Every column of a frame has its own name.",
            fix="Rename or drop one of them.",
        ) from error
    except TypeError as error:
        raise WrongType(
            where="the frame",
            got=f"a {type(frame).__name__}",
            rule="It is a pandas or polars frame, or an Arrow table.",
            fix="Pass what `features` gave, or a frame of the same columns.",
        ) from error
