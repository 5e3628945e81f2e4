"""Attributes: what a business knows about a customer besides the events, as known at an instant.

A row with `valid_from` is a version; the latest before as_of counts. An attribute whose rows have
no `valid_from` is "as of today" unless `[contract] constant_attributes` says that it never changes:
only then is it a feature. An attribute that may be sensitive is one only where `[features]
sensitive_allowed` names it. Which attributes and levels there are is learned once per release
(`learn_attributes`), so columns never move with the data.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw

from features.core.contract import CONTRACT
from features.core.settings import Settings
from features.recipes.recipe import FEATURES
from features.recipes.stages import STATE_COLUMNS
from features.tables.history import Known
from features.tables.sensitive_names import may_be_sensitive


@dataclass(frozen=True)
class Attribute:
    """An attribute of customers that is a feature.

    type: text, flag, number or money. columns: (level, column) pairs, one per frequent level of a
    text; one pair with level '' for the other types. sensitive: it may tell of age, origin, health
    and the like; the configuration names it as a feature, and it is never a reason.
    """

    name: str
    type: str
    constant: bool
    columns: tuple[tuple[str, str], ...]
    sensitive: bool = False

    @classmethod
    def from_mapping(cls, mapping: dict[str, Any]) -> Attribute:
        """The attribute as `dataclasses.asdict` and JSON give it back: lists become tuples."""
        return cls(**{**mapping, "columns": tuple(tuple(pair) for pair in mapping["columns"])})


MOST_LEVELS, LEAST_SHARE = 10, 0.01
# A level that fewer customers have could identify them in the column names of a release.
LEAST_CUSTOMERS = 5
LONGEST_NAME = 40
# A text is a number where at least this share of its known values are written as numbers; a leading
# zero (of a postcode, of a code) is not how a number is written.
NUMERIC_SHARE = 0.95
NUMBER_TEXT = r"^\s*[-+]?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?\s*$"
NOT_ATTRIBUTES = ("customer_id", "valid_from", "acquired_at", "as_of")
_TYPES = {nw.String: "text", nw.Boolean: "flag", nw.Float64: "number", nw.Int64: "money"}


def is_current_version() -> nw.Expr:
    """Whether a row is the current one of its customer's known rows.

    That is the row with the latest valid_from; a row without valid_from counts where there is no
    other.
    """
    since = nw.coalesce(nw.col("valid_from"), nw.lit(-1))
    return since == since.max().over("customer_id")


def attribute_value(name: str, *, constant: bool) -> nw.Expr:
    """The attribute's value; null in a row without valid_from, unless the attribute is constant."""
    if constant:
        return nw.col(name)
    return nw.when(~nw.col("valid_from").is_null()).then(nw.col(name))


def attribute_kind(dtype: Any) -> str:
    """text, flag, number or money; '' for other types. dtype: a narwhals type."""
    return next((name for kind, name in _TYPES.items() if dtype == kind), "")


def number_in_text(name: nw.Expr) -> nw.Expr:
    """A text written as a number, as float64; null for any other text."""
    return nw.when(name.str.contains(NUMBER_TEXT)).then(name).cast(nw.Float64)


def sensitive_left_out(names: Sequence[str], settings: Settings) -> list[str]:
    """Of these columns of customers those that are no features because they may be sensitive."""
    return [name for name in names if name not in NOT_ATTRIBUTES and _is_left_out(name, settings)]


def _is_left_out(name: str, settings: Settings) -> bool:
    features = settings.features
    return name not in features.sensitive_allowed and may_be_sensitive(name, features.sensitive)


def learn_attributes(known: Known, settings: Settings) -> tuple[tuple[Attribute, ...], bool]:
    """The attributes and levels with columns in a release, and whether customers have versions."""
    if "customers" not in known.tables:
        return (), False
    rows = known.tables["customers"]
    has_versions = _single_value(rows.select(at=nw.col("valid_from").max())) is not None
    people = _single_value(known.customers.select(count=nw.col("customer_id").count()))
    schema, current = rows.collect_schema(), rows.filter(is_current_version())
    used_names: set[str] = set()
    attributes = []
    for name in _ordered_names(schema.names()):
        constant = name in settings.contract.constant_attributes
        kind = attribute_kind(schema[name])
        if name in NOT_ATTRIBUTES or not kind or not (has_versions or constant):
            continue
        if _is_left_out(name, settings):
            continue
        values = current.select(level=attribute_value(name, constant=constant))
        if kind == "text" and name not in CONTRACT["customers"].names and _is_numeric(values):
            kind = "number"
        columns = tuple(
            (level, _column_name(name, level, kind, used_names))
            for level in _levels(values, kind, people)
        )
        if columns:
            sensitive = may_be_sensitive(name, settings.features.sensitive)
            attributes.append(Attribute(name, kind, constant, columns, sensitive))
    return tuple(attributes), has_versions


def _ordered_names(names: list[str]) -> list[str]:
    """The contract's columns in its order, then the others by name."""
    contract = CONTRACT["customers"].names
    return [
        *(name for name in contract if name in names),
        *sorted(set(names) - set(contract)),
    ]


def _single_value(frame: nw.LazyFrame) -> Any:
    return frame.collect(backend="pyarrow").to_native()[0][0].as_py()


def _is_numeric(texts: nw.LazyFrame) -> bool:
    """Whether nearly all known values of the one column `level` are written as numbers."""
    known = texts.filter(~nw.col("level").is_null())
    counted = known.select(
        all=nw.col("level").count(), numbers=number_in_text(nw.col("level")).count()
    )
    [row] = counted.collect(backend="pyarrow").to_native().to_pylist()
    return bool(row["all"]) and row["numbers"] >= NUMERIC_SHARE * row["all"]


def _levels(cells: nw.LazyFrame, kind: str, people: int) -> list[str]:
    """The levels that get a column: of a text the most frequent, then by name; of other types ''.

    No level where no value is known.
    """
    cells = cells.filter(~nw.col("level").is_null())
    if kind != "text":
        return [""] if _single_value(cells.select(count=nw.col("level").count())) else []
    counted = cells.with_columns(one=nw.lit(1)).group_by("level").agg(count=nw.col("one").sum())
    least = max(LEAST_CUSTOMERS, math.ceil(LEAST_SHARE * people))
    rows = (
        counted.filter(nw.col("count") >= least).collect(backend="pyarrow").to_native().to_pylist()
    )
    # A NUL would end the text of an SQL statement; such a level counts among the other levels.
    rows = [row for row in rows if "\x00" not in row["level"]]
    rows.sort(key=lambda row: (-row["count"], row["level"]))
    return [row["level"] for row in rows[:MOST_LEVELS]]


def _column_name(name: str, level: str, kind: str, used_names: set[str]) -> str:
    """A readable column name that no other column has; it is added to `used_names`."""
    stem = _identifier(name) + (f"_is_{_identifier(level)}" if kind == "text" else "")
    stem = f"attribute_{stem}" if _is_feature_name(stem) else stem
    chosen, number = stem, 2
    while chosen in used_names:
        chosen, number = f"{stem}_{number}", number + 1
    used_names.add(chosen)
    return chosen


def _identifier(text: str) -> str:
    return re.sub(r"\W+", "_", text.lower()).strip("_")[:LONGEST_NAME] or "blank"


def _is_feature_name(name: str) -> bool:
    """Whether a feature, or one of its windows, or a state column has this name."""
    return name in STATE_COLUMNS or any(
        name == entry or name.startswith(f"{entry}_") for entry in FEATURES
    )
