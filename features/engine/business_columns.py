"""The feature columns of one business: those its tables allow, and its own custom features."""

from __future__ import annotations

from features.catalogue import custom
from features.core.settings import Settings
from features.engine.columns import FeatureColumn, list_columns
from features.engine.custom_checks import check_on_empty_tables
from features.recipes.definitions import Definitions
from features.recipes.recipe import Feature
from features.tables.history import History


def columns_for(
    history: History, definitions: Definitions, settings: Settings
) -> list[FeatureColumn]:
    """The feature columns of this business, in catalogue order, then its own.

    Errors: UnknownKey for a name in `[features] off` that no feature has; FileMissing and
    BadSetting for the file of `[features] own`.
    """
    return list_columns(
        definitions,
        tables=feature_tables(history, settings),
        off=settings.features.off,
        custom=custom_features(settings),
    )


def feature_tables(history: History, settings: Settings) -> tuple[str, ...]:
    """The tables that features of this business read; treatments where they are switched on."""
    switched = history.switched if settings.features.treatments else ()
    return (*history.names, *switched)


def custom_features(settings: Settings) -> tuple[Feature, ...]:
    """The features of the file that `[features] own` names, in its order; empty without a file."""
    if not settings.features.own:
        return ()
    return load_custom(custom.read_source(settings), settings.features.own)


def load_custom(text: str, name: str) -> tuple[Feature, ...]:
    """The features that `text` registers, each tried on empty tables; `name` is for messages.

    Errors: BadSetting with the line of the file.
    """
    return custom.run_source(text, name, check_on_empty_tables)
