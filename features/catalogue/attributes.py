"""Attributes: what the business knows of a customer beside their events, as known at the instant.

A row with `valid_from` is a version; the latest before as_of counts. An attribute whose rows have no `valid_from` is
"as of today" unless `[contract] constant_attributes` says that it never changes: only then is it a feature. Which
attributes and levels there are is learned once per release (`learn`), so columns never move with the data.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import narwhals as nw

from features.base import Attribute
from features.contract import CONTRACT
from features.history import Known
from features.recipe import FEATURES, Feature, Recipe, Reduction, feature
from features.settings import Settings

MOST_LEVELS, LEAST_SHARE = 10, 0.01
# A level that fewer hold would name people in the columns of a release.
LEAST_CUSTOMERS = 5
LONGEST_NAME = 40
NOT_ATTRIBUTES = ("customer_id", "valid_from", "acquired_at", "as_of")
_TYPES = {nw.String: "text", nw.Boolean: "flag", nw.Float64: "number", nw.Int64: "money"}


def _value(at: int) -> Reduction:
    """What the current version says of the release's attribute number `at`: one row a customer, so nothing is summed."""
    return Reduction("customers", "max", value=f"attribute_{at}", where="is_current")


@feature(tables=("customers",), unit="0 or 1", words="{value:.0f}")
def attribute_is(at: int = 0, level: int = 0) -> Recipe:
    """1 where a text attribute has this level: one column a level, <attribute>_is_<level>.

    Levels are learned once per release: those of at least 1 % (and 5) of the customers known then, the 10 most frequent.
    Formula: [attribute = level] of the version current at as_of; a level learned of later is 0 in every column.
    Window: at as_of. Null: the attribute is not known. Source: catalogue ctx.
    """

    def formula(r, now):
        return nw.when(~r.code.is_null()).then(nw.when(r.code == level + 1).then(nw.lit(1)).otherwise(nw.lit(0)))

    return Recipe({"code": _value(at)}, formula)


@feature(tables=("customers",), unit="as given", words="{value:g}")
def attribute(at: int = 0, level: int = 0) -> Recipe:
    """A number, a flag (0 or 1) or an amount of money that stands with the customer: a column called like the attribute.

    Formula: the attribute of the version current at as_of. Window: at as_of. Null: the attribute is not known.
    Source: catalogue ctx.
    """

    def formula(r, now):
        money = now.definitions.attributes[at].type == "money"
        return r.value / now.definitions.minor_units if money else r.value

    return Recipe({"value": _value(at)}, formula)


@feature(tables=("customers",), unit="days", words="details last changed {value:.0f} days ago")
def attribute_age() -> Recipe:
    """Days since the customer's attributes last changed. Only where rows of customers have valid_from.

    Formula: t − valid_from of the version current at as_of. Window: all time. Null: no version known.
    Source: catalogue ctx.
    """
    since = Reduction("customers", "max", value="valid_from", where="is_version")
    return Recipe({"since": since}, lambda r, now: now.age_days(r.since))


@feature(tables=("customers",), unit="versions", words="{value:.0f} versions of their details known")
def attribute_changes() -> Recipe:
    """Versions of the customer known so far. Only where rows of customers have valid_from.

    Formula: count of rows with valid_from < t. Window: all time. Null: never (0). Source: catalogue ctx.
    """
    return Recipe({"count": Reduction("customers", "count", where="is_version")}, lambda r, now: r.count)


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


def learn(known: Known, settings: Settings) -> tuple[tuple[Attribute, ...], bool]:
    """The attributes and levels a release has columns for, and whether its customers have versions."""
    if "customers" not in known.tables:
        return (), False
    rows = known.tables["customers"]
    dated = _one(rows.select(at=nw.col("valid_from").max())) is not None
    people = _one(known.customers.select(count=nw.col("customer_id").count()))
    there, standing = rows.collect_schema(), rows.filter(current())
    contract = CONTRACT["customers"].names
    names = [*(name for name in contract if name in there), *sorted(set(there.names()) - set(contract))]
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
    rows = counted.filter(nw.col("count") >= least).collect(backend="pyarrow").to_native().to_pylist()
    # A NUL ends a statement's text; such a level stays among the rest.
    kept = [row for row in rows if "\x00" not in row["level"]]
    return [row["level"] for row in sorted(kept, key=lambda row: (-row["count"], row["level"]))[:MOST_LEVELS]]


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
    from features.table import STATE

    return name in STATE or any(name == entry or name.startswith(f"{entry}_") for entry in FEATURES)


def entries(entry: Feature, definitions: Any) -> Iterator[tuple[str, Feature]]:
    """(column, feature) of one of this family's features, for the attributes and levels of a release."""
    if entry.name in ("attribute_age", "attribute_changes"):
        if definitions.attribute_versions:
            yield entry.name, entry
        return
    for at, one in enumerate(definitions.attributes):
        if (one.type == "text") == (entry.name == "attribute_is"):
            for number, (level, column) in enumerate(one.columns):
                yield column, _told(entry, one, at, number, level)


def _told(entry: Feature, one: Attribute, at: int, number: int, level: str) -> Feature:
    def function() -> Recipe:
        return entry.function(at, number)

    first, _, rest = entry.doc.partition("\n\n")
    name, value = _short(one.name), _short(level)
    says = f"1 where {name} is {value}, 0 where it is another." if level else f"{name}, as known."
    function.__doc__, function.__name__ = f"{says} {first}\n\n{rest}", entry.name
    # What customers' files say may hold braces, and words are a format.
    name, value = (text.replace("{", "{{").replace("}", "}}") for text in (name, value))
    words = f"{name} is {value} (1 yes, 0 no): {{value:.0f}}" if level else f"{name} {{value:g}}"
    unit = {"text": "0 or 1", "flag": "0 or 1", "money": "currency", "number": "as given"}[one.type]
    return replace(entry, function=function, unit=unit, words=words)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else text[:LONGEST_NAME] + "…"
