"""Attributes: what the business knows of a customer beside their events, as known at the instant.

A row with `valid_from` is a version; the latest before as_of counts. An attribute whose rows have no `valid_from` is
"as of today" unless `[contract] constant_attributes` says that it never changes: only then is it a feature. Which
attributes and levels there are is learned once per release (`learn`), so columns never move with the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import narwhals as nw

from features.recipes.attributes import LONGEST_NAME, Attribute
from features.recipes.recipe import Feature, Recipe, Reduction, feature


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
        return nw.when(~r.code.is_null()).then(
            nw.when(r.code == level + 1).then(nw.lit(1)).otherwise(nw.lit(0))
        )

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


@feature(
    tables=("customers",), unit="versions", words="{value:.0f} versions of their details known"
)
def attribute_changes() -> Recipe:
    """Versions of the customer known so far. Only where rows of customers have valid_from.

    Formula: count of rows with valid_from < t. Window: all time. Null: never (0). Source: catalogue ctx.
    """
    return Recipe(
        {"count": Reduction("customers", "count", where="is_version")}, lambda r, now: r.count
    )


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
