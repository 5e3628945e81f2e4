"""Attributes: what the business knows about a customer besides the events, as known at as_of.

A row with `valid_from` is a version; the latest version before as_of counts. An attribute without
`valid_from` holds today's value. It is a feature only if `[contract] constant_attributes` declares
that it never changes. A release learns its attributes and levels once (`learn_attributes`), so the
columns do not depend on later data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import narwhals as nw

from features.recipes.attributes import LONGEST_NAME, Attribute
from features.recipes.recipe import Feature, Now, Recipe, Reduction, feature


def _value(at: int) -> Reduction:
    """The release's attribute number `at` in the current version (one row per customer)."""
    return Reduction("customers", "max", value=f"attribute_{at}", where="is_current")


@feature(tables=("customers",), unit="0 or 1", words="{value:.0f}")
def attribute_is(at: int = 0, level: int = 0) -> Recipe:
    """1 where a text attribute has this level; one column for each level, <attribute>_is_<level>.

    Levels are learned once per release: those of at least 1 % (and 5) of the customers known then,
    the 10 most frequent. Formula: [attribute = level] of the version current at as_of; a level
    learned of later is 0 in every column. Window: at as_of. Null: the attribute is not known.
    Source: catalogue ctx.
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        return nw.when(~r.code.is_null()).then(
            nw.when(r.code == level + 1).then(nw.lit(1)).otherwise(nw.lit(0))
        )

    return Recipe({"code": _value(at)}, formula)


@feature(tables=("customers",), unit="as given", words="{value:g}")
def attribute(at: int = 0, level: int = 0) -> Recipe:
    """A number, flag (0 or 1) or amount of money of the customer, in a column of its own name.

    Formula: the attribute of the version current at as_of. Window: at as_of. Null: the attribute is
    not known. Source: catalogue ctx.
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        # Rows hold money in minor units; the column is in currency units.
        money = now.definitions.attributes[at].type == "money"
        return r.value / now.definitions.minor_units if money else r.value

    return Recipe({"value": _value(at)}, formula)


@feature(
    tables=("customers",), unit="days", words="customer details last changed {value:.0f} days ago"
)
def attribute_age() -> Recipe:
    """Days since the customer's attributes last changed; only where rows have valid_from.

    Formula: as_of − valid_from of the version current at as_of. Window: all time. Null: no version
    known. Source: catalogue ctx.
    """
    since = Reduction("customers", "max", value="valid_from", where="is_version")
    return Recipe({"since": since}, lambda r, now: now.age_days(r.since))


@feature(
    tables=("customers",),
    unit="versions",
    words="{value:.0f} known versions of the customer's details",
)
def attribute_changes() -> Recipe:
    """Number of known versions of the customer; only where rows have valid_from.

    Formula: count of rows with valid_from < as_of. Window: all time. Null: never (0).
    Source: catalogue ctx.
    """
    return Recipe(
        {"count": Reduction("customers", "count", where="is_version")}, lambda r, now: r.count
    )


def expand_attributes(entry: Feature, definitions: Any) -> Iterator[tuple[str, Feature]]:
    """(column name, feature) pairs of one feature of this family, for a release's attributes."""
    if entry.name in ("attribute_age", "attribute_changes"):
        if definitions.attribute_versions:
            yield entry.name, entry
        return
    for at, one in enumerate(definitions.attributes):
        if (one.type == "text") == (entry.name == "attribute_is"):
            for number, (level, column) in enumerate(one.columns):
                yield column, _specialise(entry, one, at, number, level)


def _specialise(entry: Feature, one: Attribute, at: int, number: int, level: str) -> Feature:
    def function() -> Recipe:
        return entry.function(at, number)

    first, _, rest = entry.doc.partition("\n\n")
    name, value = _short(one.name), _short(level)
    says = f"1 where {name} is {value}, 0 where it is another." if level else f"{name}, as known."
    function.__doc__, function.__name__ = f"{says} {first}\n\n{rest}", entry.name
    # Values from customers' files may hold braces, and `words` is a format string.
    name, value = (text.replace("{", "{{").replace("}", "}}") for text in (name, value))
    words = f"{name} is {value} (1 yes, 0 no): {{value:.0f}}" if level else f"{name}: {{value:g}}"
    unit = {"text": "0 or 1", "flag": "0 or 1", "money": "currency", "number": "as given"}[one.type]
    return replace(entry, function=function, unit=unit, words=words)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else text[:LONGEST_NAME] + "…"
