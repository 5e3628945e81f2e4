"""What answers a request: one release, its prepared features, the latest run, as one value."""

from __future__ import annotations

from dataclasses import dataclass

from features.core.settings import Settings
from features.engine.prepared import PreparedFeatures
from serving.api.lookup import Lookup
from serving.campaigns.decided import Decided
from serving.release.release import Release


@dataclass(frozen=True)
class ServedRelease:
    """One consistent state; `pointers`: CURRENT, LATEST, the mark of its run and that of the
    campaigns as they were when it was loaded.

    `prepared`: the release's features over the population of the release and of the run. `decided`:
    what campaigns decided.
    """

    release: Release
    settings: Settings
    run: Lookup | None
    prepared: tuple[PreparedFeatures, ...]
    decided: Decided
    pointers: tuple[str, str, str, str]

    def prepared_at(self, as_of: int) -> PreparedFeatures:
        """The features over the newest population known at `as_of` (µs UTC).

        A later one would leak the future. Before all of them (only a request in sample asks for
        that) the oldest.
        """
        by_age = sorted(self.prepared, key=lambda each: each.population.as_of)
        known = [each for each in by_age if each.population.as_of <= as_of]
        return known[-1] if known else by_age[0]
