"""The columns of one business: the catalogue's that its tables allow, and its own, each tried before it is used."""

from __future__ import annotations

from features.catalogue import custom
from features.core.settings import Settings
from features.engine.columns import ColumnOf, columns
from features.engine.custom_checks import checked_on_empty_tables
from features.recipes.definitions import Definitions
from features.recipes.recipe import Feature
from features.tables.history import History


def columns_for(history: History, definitions: Definitions, settings: Settings) -> list[ColumnOf]:
    return columns(
        definitions, tables=history.names, off=settings.features.off, own=features_of(settings)
    )


def features_of(settings: Settings) -> tuple[Feature, ...]:
    """The features of the file `[features] own` names, in its order; empty where it names none."""
    if not settings.features.own:
        return ()
    return load_custom(custom.read(settings), settings.features.own)


def load_custom(text: str, name: str) -> tuple[Feature, ...]:
    """The features that running `text` registers, each tried on empty tables. BadSetting with the line otherwise."""
    return custom.loaded(text, name, checked_on_empty_tables)
