"""Which columns a feature table can have: the catalogue's and the business's own, each with its window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from features.catalogue import FAMILIES, attributes
from features.catalogue.custom import refuse_twice
from features.core.errors import UnknownKey, suggestion
from features.recipes.definitions import Definitions
from features.recipes.recipe import FEATURES, Feature, Recipe


@dataclass(frozen=True)
class ColumnOf:
    """One column of the feature table: a feature, and its window or half-life in days where it has one."""

    name: str
    feature: Feature
    days: float | None
    takes_days: bool

    def recipe(self) -> Recipe:
        return self.feature.function(self.days) if self.takes_days else self.feature.function()

    @property
    def reach_days(self) -> float:
        """How many days back the column looks through windows; 0 where it only looks at all time."""
        # Some windows are in the rows that a recipe reads, not in its reductions.
        own = self.days if self.feature.windows in ("W", "w") and self.days else 0
        return max(
            [own, *(reduction.since_days or 0 for reduction in self.recipe().reductions.values())]
        )

    @property
    def window(self) -> str:
        return "all time" if self.days is None else f"{self.days:g} days"


def columns(
    definitions: Definitions,
    *,
    tables: Iterable[str],
    off: Sequence[str] = (),
    own: Sequence[Feature] = (),
) -> list[ColumnOf]:
    """The columns this business can have, in catalogue order: those whose tables are there and that are not off.

    `own` are the business's features (`features.catalogue.custom`); they come last. `off` names families, features or single
    columns; UnknownKey for a name that is none of them.
    """
    there = {*tables, "activity"}
    entries = [*sorted(FEATURES.values(), key=lambda entry: FAMILIES.index(entry.family)), *own]
    every = [column for entry in entries for column in _windowed(entry, definitions)]
    refuse_twice([column.name for column in every])
    names = {*FAMILIES, *FEATURES, *(entry.family for entry in own), *(entry.name for entry in own)}
    names |= {column.name for column in every}
    for name in off:
        if name not in names:
            raise UnknownKey(
                where="[features] off",
                got=f"unknown feature '{name}'",
                rule="off names families, features or columns of docs/features.md.",
                fix=suggestion(name, names) or "See docs/features.md.",
            )
    return [
        column
        for column in every
        if set(column.feature.tables) <= there
        and not {column.name, column.feature.name, column.feature.family} & set(off)
    ]


def absent(*, tables: Iterable[str], own: Sequence[Feature] = ()) -> dict[str, list[str]]:
    """Which features a missing table costs: missing table -> feature names."""
    there, costs = {*tables, "activity"}, {}
    for entry in [*FEATURES.values(), *own]:
        for table in entry.tables:
            if table not in there:
                costs.setdefault(table, []).append(entry.name)
    return costs


def _windowed(entry: Feature, definitions: Definitions) -> list[ColumnOf]:
    if entry.family == "attributes":
        return [
            ColumnOf(name, made, None, False)
            for name, made in attributes.entries(entry, definitions)
        ]
    if not entry.windows:
        return [ColumnOf(entry.name, entry, None, False)]
    if entry.windows == "H":
        multiples = zip((1, 3, 6), definitions.half_lives_days, strict=True)
        return [ColumnOf(f"{entry.name}_{k}g", entry, days, True) for k, days in multiples]
    found = [
        ColumnOf(f"{entry.name}_{days}d", entry, days, True) for days in definitions.windows_days
    ]
    return found + (
        [ColumnOf(f"{entry.name}_all", entry, None, True)] if entry.windows == "W" else []
    )
