"""The columns of a feature table: the catalogue's and the business's own, each with its window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from features.catalogue import FAMILIES, attributes
from features.catalogue.custom import refuse_duplicate_columns
from features.core.contract import SWITCHED_TABLES
from features.core.errors import UnknownKey, suggestion
from features.recipes.definitions import Definitions
from features.recipes.recipe import FEATURES, Feature, Recipe


@dataclass(frozen=True)
class FeatureColumn:
    """One column of the feature table: a feature with its window or half-life, if it has one.

    days: the window or half-life in days; None for all time. takes_days: whether the feature's
    function takes `days`.
    """

    name: str
    feature: Feature
    days: float | None
    takes_days: bool

    def recipe(self) -> Recipe:
        return self.feature.function(self.days) if self.takes_days else self.feature.function()

    @property
    def reach_days(self) -> float:
        """How many days back the column's windows reach; 0 for a column without windows."""
        # Some windows are in the rows that a recipe reads, not in its reductions.
        window = self.days if self.feature.windows in ("W", "w") and self.days else 0
        reductions = self.recipe().reductions.values()
        return max([window, *(reduction.since_days or 0 for reduction in reductions)])

    @property
    def window(self) -> str:
        return "all time" if self.days is None else f"{self.days:g} days"


def list_columns(
    definitions: Definitions,
    *,
    tables: Iterable[str],
    off: Sequence[str] = (),
    custom: Sequence[Feature] = (),
) -> list[FeatureColumn]:
    """The columns that this business can have: their tables are given and they are not off.

    The order is that of the catalogue, then `custom` (the business's own features); models depend
    on it. `off` names families, features or single columns. Errors: UnknownKey for another name.
    """
    available = {*tables, "activity"}
    in_order = sorted(FEATURES.values(), key=lambda entry: FAMILIES.index(entry.family))
    entries = [*in_order, *custom]
    columns = [column for entry in entries for column in _columns_of_feature(entry, definitions)]
    refuse_duplicate_columns([column.name for column in columns])
    names = {*FAMILIES, *FEATURES}
    names |= {name for entry in custom for name in (entry.family, entry.name)}
    _check_off(off, names | {column.name for column in columns})
    return [
        column
        for column in columns
        if set(column.feature.tables) <= available
        and not {column.name, column.feature.name, column.feature.family} & set(off)
    ]


def _check_off(off: Sequence[str], names: set[str]) -> None:
    for name in off:
        if name not in names:
            raise UnknownKey(
                where="[features] off",
                got=f"unknown feature '{name}'",
                rule="off names families, features or columns of docs/features.md.",
                fix=suggestion(name, names) or "Use a name of docs/features.md.",
            )


def missing_features(
    *, tables: Iterable[str], custom: Sequence[Feature] = ()
) -> dict[str, list[str]]:
    """The features that cannot be built for lack of a table: missing table -> feature names."""
    available = {*tables, "activity"}
    missing: dict[str, list[str]] = {}
    for entry in [*FEATURES.values(), *custom]:
        for table in entry.tables:
            # What is off by default is not missing.
            if table not in available and table not in SWITCHED_TABLES:
                missing.setdefault(table, []).append(entry.name)
    return missing


def _columns_of_feature(entry: Feature, definitions: Definitions) -> list[FeatureColumn]:
    """The columns of one feature: one per window, half-life, or attribute of customers."""
    if entry.family == "attributes":
        return [
            FeatureColumn(name, feature, None, False)
            for name, feature in attributes.expand_attributes(entry, definitions)
        ]
    if not entry.windows:
        return [FeatureColumn(entry.name, entry, None, False)]
    if entry.windows == "H":
        multiples = zip((1, 3, 6), definitions.half_lives_days, strict=True)
        return [FeatureColumn(f"{entry.name}_{k}x_gap", entry, days, True) for k, days in multiples]
    columns = [
        FeatureColumn(f"{entry.name}_{days}d", entry, days, True)
        for days in definitions.windows_days
    ]
    if entry.windows == "W":
        columns.append(FeatureColumn(f"{entry.name}_all", entry, None, True))
    return columns
