"""Population statistics and feature rows of a kept history that is read share by share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from features.core.language import say
from features.core.settings import Settings
from features.engine.build import build
from features.engine.business_columns import columns_for
from features.engine.run_shares import run_shares
from features.recipes.definitions import Definitions
from features.recipes.population_facts import join_facts, population_facts
from features.recipes.population_stats import PopulationStats, fit_population
from features.tables.history import History
from features.tables.history_store.shares import Share
from features.tables.outline import DataEnd, load_share


@dataclass(frozen=True)
class ShareReading:
    """How a task reads the History of a share: `settings` with the threads of one task."""

    settings: Settings
    end: DataEnd

    @classmethod
    def of_outline(cls, history: History, settings: Settings) -> ShareReading:
        """As the tasks of the engine of `settings` read the shares of an outline."""
        if settings.engine.name == "spark":  # it gives a task one core
            engine = settings.engine.model_copy(update={"threads": 1})
            settings = settings.model_copy(update={"engine": engine})
        return cls(settings, DataEnd(history.data_until, history.newest_until))

    def history(self, share: Share) -> History:
        """The History of the customers of this share."""
        return load_share(self.settings, share, self.end)


@dataclass(frozen=True)
class FactsTask:
    """Of a share, the population facts at some instants (µs UTC): `<name> <place>` of `as_of`."""

    reading: ShareReading
    definitions: Definitions
    as_of: tuple[int, ...]

    def __call__(self, share: Share) -> dict[str, pa.Table]:
        history = self.reading.history(share)
        return {
            f"{name} {place}": table
            for place, at in enumerate(self.as_of)
            for name, table in population_facts(history.as_of(at), self.definitions).items()
        }


@dataclass(frozen=True)
class FeaturesTask:
    """Of a share, the feature rows at the instants of `populations`: their place is the name."""

    reading: ShareReading
    definitions: Definitions
    populations: tuple[PopulationStats, ...]

    def __call__(self, share: Share) -> dict[str, pa.Table]:
        history = self.reading.history(share)
        columns = columns_for(history, self.definitions, self.reading.settings)
        return {
            str(place): build(
                history.as_of(population.as_of),
                population=population,
                definitions=self.definitions,
                columns=columns,
            )
            for place, population in enumerate(self.populations)
        }


def share_populations(
    outline: History, settings: Settings, definitions: Definitions, *, as_of: Sequence[int]
) -> list[PopulationStats]:
    """The population statistics at each instant (µs UTC), gathered share by share."""
    task = FactsTask(ShareReading.of_outline(outline, settings), definitions, tuple(as_of))
    gathered = list(
        run_shares(task, outline.shares, settings, label=say("population, parts of customers"))
    )
    return [
        fit_population(join_facts(_at_place(each, place) for each in gathered), as_of=at)
        for place, at in enumerate(as_of)
    ]


def _at_place(tables: Mapping[str, pa.Table], place: int) -> dict[str, pa.Table]:
    ending = f" {place}"
    return {
        name.removesuffix(ending): each for name, each in tables.items() if name.endswith(ending)
    }


def build_shares(
    outline: History,
    settings: Settings,
    *,
    definitions: Definitions,
    populations: Sequence[PopulationStats],
) -> list[pa.Table]:
    """The feature rows of all customers at the instants of `populations`, as `build_many`."""
    reading = ShareReading.of_outline(outline, settings)
    task = FeaturesTask(reading, definitions, tuple(populations))
    parts: list[list[pa.Table]] = [[] for _ in populations]
    label = say("feature rows, parts of customers")
    for tables in run_shares(task, outline.shares, settings, label=label):
        for place in range(len(populations)):
            parts[place].append(tables[str(place)])
    return [pa.concat_tables(each).sort_by("customer_id") for each in parts]
