"""Attributes: what the business knows of a customer beside their events, as known at the instant.

A row with `valid_from` is a version; the latest before as_of counts. An attribute whose rows have no `valid_from` is
"as of today" unless `[contract] constant_attributes` says that it never changes: only then is it a feature. Which
attributes and levels there are is learned once per release (`learn_attributes`), so columns never move with the data.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import narwhals as nw

from features.core.contract import CONTRACT
from features.core.settings import Settings
from features.recipes.recipe import FEATURES
from features.recipes.stages import STATE_COLUMNS
from features.tables.history import Known


@dataclass(frozen=True)
class Attribute:
    """An attribute of customers that has columns: (level, column) pairs; one with level '' where it is no text."""

    name: str
    type: str
    constant: bool
    columns: tuple[tuple[str, str], ...]

    @classmethod
    def from_mapping(cls, stated: dict) -> Attribute:
        return cls(**{**stated, "columns": tuple(tuple(pair) for pair in stated["columns"])})


MOST_LEVELS, LEAST_SHARE = 10, 0.01


# A level that fewer hold would name people in the columns of a release.
LEAST_CUSTOMERS = 5


LONGEST_NAME = 40


NOT_ATTRIBUTES = ("customer_id", "valid_from", "acquired_at", "as_of")


_TYPES = {nw.String: "text", nw.Boolean: "flag", nw.Float64: "number", nw.Int64: "money"}


def current() -> nw.Expr:
    """Of a customer's known rows the one that counts: the latest valid_from, or the one without where there is no other."""
    since = nw.coalesce(nw.col("valid_from"), nw.lit(-1))
    return since == since.max().over("customer_id")


def cell(name: str, *, constant: bool) -> nw.Expr:
    """The attribute as a row may say it: a row without valid_from speaks of constants only."""
    return nw.col(name) if constant else nw.when(~nw.col("valid_from").is_null()).then(nw.col(name))


def type_of(dtype: Any) -> str:
    """text, flag, number or money; '' for what is none of them."""
    return next((name for kind, name in _TYPES.items() if dtype == kind), "")


def learn_attributes(known: Known, settings: Settings) -> tuple[tuple[Attribute, ...], bool]:
    """The attributes and levels a release has columns for, and whether its customers have versions."""
    if "customers" not in known.tables:
        return (), False
    rows = known.tables["customers"]
    dated = _one(rows.select(at=nw.col("valid_from").max())) is not None
    people = _one(known.customers.select(count=nw.col("customer_id").count()))
    there, standing = rows.collect_schema(), rows.filter(current())
    contract = CONTRACT["customers"].names
    names = [
        *(name for name in contract if name in there),
        *sorted(set(there.names()) - set(contract)),
    ]
    taken: set[str] = set()
    found = []
    for name in names:
        constant, kind = name in settings.contract.constant_attributes, type_of(there[name])
        if name in NOT_ATTRIBUTES or not kind or not (dated or constant):
            continue
        levels = _levels(standing.select(level=cell(name, constant=constant)), kind, people)
        columns = tuple((level, _column(name, level, kind, taken)) for level in levels)
        if columns:
            found.append(Attribute(name, kind, constant, columns))
    return tuple(found), dated


def _one(frame: nw.LazyFrame) -> Any:
    return frame.collect(backend="pyarrow").to_native()[0][0].as_py()


def _levels(cells: nw.LazyFrame, kind: str, people: int) -> list[str]:
    """The levels of a text attribute by count, then by name; of another kind one column if anything is known."""
    cells = cells.filter(~nw.col("level").is_null())
    if kind != "text":
        return [""] if _one(cells.select(count=nw.col("level").count())) else []
    counted = cells.with_columns(one=nw.lit(1)).group_by("level").agg(count=nw.col("one").sum())
    least = max(LEAST_CUSTOMERS, math.ceil(LEAST_SHARE * people))
    rows = (
        counted.filter(nw.col("count") >= least).collect(backend="pyarrow").to_native().to_pylist()
    )
    # A NUL ends a statement's text; such a level stays among the rest.
    kept = [row for row in rows if "\x00" not in row["level"]]
    return [
        row["level"]
        for row in sorted(kept, key=lambda row: (-row["count"], row["level"]))[:MOST_LEVELS]
    ]


def _column(name: str, level: str, kind: str, taken: set[str]) -> str:
    """A readable column name that nothing else has."""
    stem = _plain(name) + (f"_is_{_plain(level)}" if kind == "text" else "")
    stem = f"attribute_{stem}" if _is_taken(stem) else stem
    chosen, number = stem, 2
    while chosen in taken:
        chosen, number = f"{stem}_{number}", number + 1
    taken.add(chosen)
    return chosen


def _plain(text: str) -> str:
    return re.sub(r"\W+", "_", text.lower()).strip("_")[:LONGEST_NAME] or "blank"


def _is_taken(name: str) -> bool:
    return name in STATE_COLUMNS or any(
        name == entry or name.startswith(f"{entry}_") for entry in FEATURES
    )
