"""What the service answers from: a release, its prepared features, the latest run.

They are loaded together and replaced together, so an answer never mixes old and new. A thread
notices a new run or promotion by their pointers and loads it; what cannot be loaded changes nothing
and is reported by `GET /v1/model`.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from features.core.errors import LifecycleError, NotFound, ReleaseRefused
from features.core.instants import DAY_US
from features.core.settings import Settings, settings_from_mapping
from features.engine.build import build
from features.engine.columns import FeatureColumn
from features.engine.prepared import PreparedFeatures
from features.recipes.population_stats import PopulationStats
from features.tables.terms import TermRules
from serving.api import lookup, request_events
from serving.api.answers import Entry, answer, entries, take_entries, unknown_entry
from serving.api.lookup import Lookup
from serving.api.schemas import RequestedId, ScoreRequest, rfc3339
from serving.api.strict import malformed_error
from serving.release import golden
from serving.release import release as releases
from serving.release.release import Release
from serving.release.sandbox import load_in_subprocess
from serving.release.score_table import score_table

POLL_SECONDS, RETRY_SECONDS = 2, 30
log = logging.getLogger("lifecycle.service")


@dataclass(frozen=True)
class ServedRelease:
    """One consistent state; `pointers` are CURRENT and LATEST as they were when it was loaded.

    `prepared`: the release's features over the population of the release and of the run.
    """

    release: Release
    settings: Settings
    run: Lookup | None
    prepared: tuple[PreparedFeatures, ...]
    pointers: tuple[str, str]


@dataclass(eq=False)
class ServingState:
    """What is `served`, and the `problem` with a newer run or release ('' for none)."""

    served: ServedRelease
    problem: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def load(cls) -> ServingState:
        """Load what CURRENT and LATEST name.

        ReleaseRefused where nothing was promoted or a file was altered.
        """
        return cls(_load_served(None))

    def watch(self) -> None:
        """Look for a newer run or release every two seconds, until `close`."""
        threading.Thread(target=self._watch, name="lifecycle-watch", daemon=True).start()

    def close(self) -> None:
        """End `watch`."""
        self._stop.set()

    def refresh(self) -> None:
        """Load what the pointers name now; on a problem everything stays as it is."""
        try:
            if _read_pointers() == self.served.pointers:
                self.problem = ""
                return
            self.served, self.problem = _load_served(self.served), ""
            log.info("loaded release %s", self.served.release.id)
        except LifecycleError as error:
            # Once per problem: it is tried again every RETRY_SECONDS.
            if self.problem != error.rule:
                log.error("still serving the former: %s: %s", type(error).__name__, error.rule)
            self.problem = error.rule

    def _watch(self) -> None:
        # After a problem it tries more seldom: every trial of a release costs a child process.
        while not self._stop.wait(RETRY_SECONDS if self.problem else POLL_SECONDS):
            try:
                self.refresh()
            except Exception as error:  # the thread must survive any error of the file system
                log.error("the watch failed once: %s", type(error).__name__)

    def score_by_id(self, requested: list[RequestedId], *, as_of: int | None) -> dict[str, Any]:
        """The latest run's entries in the requested order.

        Malformed for another as_of, ReleaseRefused where nothing was scored.
        """
        # Read once: a refresh may replace it while this request is answered.
        served = self.served
        run = _require_run(served)
        if as_of not in (None, run.as_of):
            rule = "By id, as_of is that of the latest run: leave it out, or send raw events."
            raise malformed_error("as_of", "another instant than the run's", rule)
        rows = [run.row_of(each.normalized) for each in requested]
        # One call for all rows, then the entries are dealt out in the requested order.
        known = iter(take_entries(run.entries, [row for row in rows if row is not None]))
        scores = [
            unknown_entry(each.raw) if row is None else {**next(known), "customer_id": each.raw}
            for each, row in zip(requested, rows, strict=True)
        ]
        if run.release != served.release.id:
            scores = [_with_warnings(entry, ["scored_by_another_release"]) for entry in scores]
        return answer(run.release, run.as_of, scores)

    def customer_entry(self, requested: RequestedId) -> dict[str, Any]:
        """One customer's entry and feature values; NotFound for an unknown customer."""
        run = _require_run(self.served)
        if run.row_of(requested.normalized) is None:
            raise NotFound(
                where="/v1/customers",
                got="an id that is not in the latest run",
                rule="A customer is in the latest run.",
                fix="Run `lifecycle score -c …` again, or send raw events.",
            )
        scores = self.score_by_id([requested], as_of=None)
        return {**scores, "features": _feature_values(run.features_of(requested.normalized))}

    def score_by_events(self, request: ScoreRequest, *, now: int) -> dict[str, Any]:
        """Scores from the request's raw events, by the code of the batch job; `now` in µs UTC.

        Malformed with the path of the field.
        """
        served = self.served
        as_of = now if request.as_of is None else request.as_of
        if as_of > now + served.settings.contract.max_staleness_days * DAY_US:
            rule = "as_of lies at most max_staleness_days in the future."
            raise malformed_error("as_of", "an instant too far in the future", rule)
        prepared = _prepared_at(served, as_of)
        events = request_events.read_events(
            request,
            served.settings,
            as_of=as_of,
            attributes=served.release.scorer.definitions.attributes,
        )
        rows = prepared.build(events.tables, as_of=as_of)
        requested = [customer.customer_id for customer in request.customers or []]
        active = set(rows["customer_id"].to_pylist())
        # Customers without activity and cover have no feature row.
        prospects = [each.normalized for each in requested if each.normalized not in active]
        table = score_table(rows, served.release, prospects=prospects, as_of=as_of, stale=False)
        by_id = {entry["customer_id"]: entry for entry in entries(table)}
        age_us = as_of - prepared.population.as_of
        scores = [
            _with_warnings(
                {**by_id[each.normalized], "customer_id": each.raw},
                _request_warnings(age_us // DAY_US, events.late_rows[each.normalized]),
            )
            for each in requested
        ]
        return answer(served.release.id, as_of, scores)

    def model_info(self) -> dict[str, Any]:
        """What is served, what it was trained on, how good it is (aggregates only), its age."""
        served = self.served
        release, definitions = served.release, served.release.scorer.definitions
        return {
            "release_id": release.id,
            "status": release.scorer.status,
            "horizon_days": definitions.horizon_days,
            "contractual": definitions.contractual,
            "eligible_days": definitions.eligible_days,
            "tables": list(release.tables),
            "features": len(release.scorer.columns),
            "stage_multiples": list(definitions.multiples),
            "population_mean_gap_days": definitions.population_mean_gap_us / DAY_US,
            "currency": served.settings.business.currency,
            "population_as_of": [rfc3339(each.population.as_of) for each in served.prepared],
            "run": _run_info(served.run),
            "evaluation": release.evaluation,
            "problem": self.problem,
        }


def _run_info(run: Lookup | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {
        "run": run.run,
        "as_of": rfc3339(run.as_of),
        "rows": len(run.ids),
        "release_id": run.release,
    }


def _with_warnings(entry: Entry, warnings: list[str]) -> Entry:
    return {**entry, "warnings": [*entry["warnings"], *warnings]}


def _request_warnings(population_days: int, late_rows: int) -> list[str]:
    """The warnings that only an answer from raw events can have."""
    warnings = []
    if population_days > 0:
        warnings.append(f"population_is_{population_days}_days_old")
    if late_rows > 0:
        warnings.append(f"not_known_yet:{late_rows}_rows")
    return warnings


def _feature_values(row: dict[str, Any]) -> dict[str, float | None]:
    """The float64 values and the nulls of a feature row."""
    return {name: value for name, value in row.items() if value is None or isinstance(value, float)}


def _require_run(served: ServedRelease) -> Lookup:
    if served.run is None:
        raise ReleaseRefused(
            where="scores/LATEST",
            got="no run",
            rule="Answers by id come from a finished run.",
            fix="Run `lifecycle score -c …`, or send raw events.",
        )
    return served.run


def _prepared_at(served: ServedRelease, as_of: int) -> PreparedFeatures:
    """The features over the newest population known at `as_of`; a later one would leak the future.

    Malformed where as_of lies before all of them.
    """
    known = [each for each in served.prepared if each.population.as_of <= as_of]
    if not known:
        oldest = rfc3339(min(each.population.as_of for each in served.prepared))
        rule = f"as_of is not before {oldest}, the as_of of the release's population."
        raise malformed_error("as_of", "an instant before the release's population", rule)
    return max(known, key=lambda each: each.population.as_of)


def _read_pointers() -> tuple[str, str]:
    run = lookup.latest_run_folder()
    return str(releases.current_release_folder()), str(run) if run else ""


def _load_served(before: ServedRelease | None) -> ServedRelease:
    """The state that the pointers name; an unchanged release is not loaded again."""
    pointers = _read_pointers()
    if before is not None and before.pointers[0] == pointers[0]:
        release = before.release
    else:
        release = load_in_subprocess(Path(pointers[0]))
        _check_prepared(release)
    settings = settings_from_mapping(release.config, folder=Path(), where="features.json")
    run = lookup.load_lookup(Path(pointers[1])) if pointers[1] else None
    populations = [PopulationStats.read(release.folder / "population.parquet")]
    if run is not None:
        populations.append(run.population)
    # Without a newer run, both are the same population.
    by_instant = {population.as_of: population for population in populations}
    terms = TermRules.from_settings(settings)
    prepared = tuple(_prepare(release, terms, each) for each in by_instant.values())
    return ServedRelease(release, settings, run, prepared, pointers)


def _prepare(release: Release, terms: TermRules, population: PopulationStats) -> PreparedFeatures:
    return PreparedFeatures(
        definitions=release.scorer.definitions,
        population=population,
        terms=terms,
        tables=release.tables,
        columns=_model_columns(release),
        activity_kinds=release.activity_kinds,
    )


def _model_columns(release: Release) -> list[FeatureColumn]:
    names = set(release.scorer.columns)
    return [column for column in release.columns if column.name in names]


def _check_prepared(release: Release) -> None:
    """ReleaseRefused unless prepared features build the golden rows with the batch job's bits."""
    definitions = release.scorer.definitions
    as_of = definitions.learned_as_of
    population = golden.golden_population(as_of)
    folder = release.folder / "golden"
    events = {name: pq.read_table(folder / f"{name}.parquet") for name in release.tables}
    history = golden.golden_history(
        events, definitions=definitions, activity_kinds=release.activity_kinds, as_of=as_of
    )
    rows = build(
        history.as_of(as_of),
        population=population,
        definitions=definitions,
        columns=_model_columns(release),
    )
    prepared = _prepare(release, history.terms, population)
    if not prepared.build(events, as_of=as_of).equals(rows):
        raise ReleaseRefused(
            where=f"release {release.id}",
            got="golden rows that prepared features build differently",
            rule="The service computes the same bits as the batch job.",
            fix=releases.OTHER_VERSIONS,
        )
